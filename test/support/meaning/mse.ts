import type { Meaning } from '../interpreter.js';

const mse: Meaning = ([prediction, target]) => {
  const n = prediction!.shape[0]!;
  const count = prediction!.data.length / n;
  const perSample = new Float64Array(n);
  prediction!.data.forEach((p, i) => {
    perSample[Math.floor(i / count)]! += (p - target!.data[i]!) ** 2 / count;
  });
  return [Float64Array.of(perSample.reduce((sum, v) => sum + v / n, 0)), perSample];
};

const mseVjp: Meaning = ([prediction, target, dloss]) => {
  const factor = (2 * dloss!.data[0]!) / prediction!.data.length;
  return [prediction!.data.map((p, i) => factor * (p - target!.data[i]!))];
};

export const meanings: Record<string, Meaning> = { mse, mseVjp };
