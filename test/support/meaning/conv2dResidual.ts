import type { Meaning } from '../interpreter.js';
import { meanings as ofConv2d } from './conv2d.js';

const conv2dResidual: Meaning = ([x, w, b, residual], attrs, outputs) => {
  const [convolved] = ofConv2d.conv2d!([x!, w!, b!], attrs, outputs);
  return [convolved!.map((value, i) => value + residual!.data[i]!)];
};

export const meanings: Record<string, Meaning> = { conv2dResidual };
