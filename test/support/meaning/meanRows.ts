import type { Meaning } from '../interpreter.js';

const meanRows: Meaning = ([x]) => {
  const n = x!.shape[0]!;
  const c = x!.shape.at(-1)!;
  const rows = x!.data.length / (n * c);
  const y = new Float64Array(n * c);
  x!.data.forEach((v, i) => {
    y[Math.floor(i / (rows * c)) * c + (i % c)]! += v / rows;
  });
  return [y];
};

const meanRowsVjp: Meaning = ([dy], _attrs, [dx]) => {
  const c = dx!.shape.at(-1)!;
  const perSample = dx!.shape.slice(1).reduce((a, b) => a * b);
  const at = (i: number): number => dy!.data[Math.floor(i / perSample) * c + (i % c)]!;
  return [Float64Array.from({ length: dx!.shape[0]! * perSample }, (_, i) => (at(i) * c) / perSample)];
};

export const meanings: Record<string, Meaning> = { meanRows, meanRowsVjp };
