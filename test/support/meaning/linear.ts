import { elements } from '../../../lib/graph/graph.js';
import type { Meaning } from '../interpreter.js';

const linear: Meaning = ([x, w, b]) => {
  const [out, width] = w!.shape as [number, number];
  const rows = elements(x!.shape) / width;
  const y = new Float64Array(rows * out);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < out; o++) {
      let sum = b ? b.data[o]! : 0;
      for (let k = 0; k < width; k++) sum += x!.data[i * width + k]! * w!.data[o * width + k]!;
      y[i * out + o] = sum;
    }
  }
  return [y];
};

const linearVjp: Meaning = ([x, w, dy], _attrs, [dx, dw, db]) => {
  const [out, width] = w!.shape as [number, number];
  const rows = elements(dy!.shape) / out;
  const gradX = new Float64Array(rows * width);
  const gradW = new Float64Array(out * width);
  const gradB = new Float64Array(out);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < out; o++) {
      const g = dy!.data[i * out + o]!;
      gradB[o]! += g;
      for (let k = 0; k < width; k++) {
        gradX[i * width + k]! += g * w!.data[o * width + k]!;
        if (x) gradW[o * width + k]! += g * x.data[i * width + k]!;
      }
    }
  }
  return [dx ? gradX : null, dw ? gradW : null, db ? gradB : null];
};

export const meanings: Record<string, Meaning> = { linear, linearVjp };
