import type { Meaning } from '../interpreter.js';
import { meanings as ofLinear } from './linear.js';

const linearResidual: Meaning = ([x, w, b, residual], attrs, outputs) => {
  const [product] = ofLinear.linear!([x!, w!, b!], attrs, outputs);
  return [product!.map((value, i) => value + residual!.data[i]!)];
};

const linearResidualVjp: Meaning = ([w, dy, through], attrs, [dx]) => {
  const [product] = ofLinear.linearVjp!([null, w!, dy!], attrs, [dx!, null, null]);
  return [product!.map((value, i) => value + through!.data[i]!)];
};

export const meanings: Record<string, Meaning> = { linearResidual, linearResidualVjp };
