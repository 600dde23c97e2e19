import type { Meaning } from '../interpreter.js';

function rowsOf(data: Float64Array, c: number): Float64Array[] {
  return Array.from({ length: data.length / c }, (_, i) => data.subarray(i * c, (i + 1) * c));
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);

const l2Normalize: Meaning = ([x], { eps }) => {
  const c = x!.shape.at(-1)!;
  const rnorm = Float64Array.from(rowsOf(x!.data, c), (row) => 1 / Math.sqrt(dot(row, row) + eps!));
  return [x!.data.map((v, i) => v * rnorm[Math.floor(i / c)]!), rnorm];
};

const l2NormalizeVjp: Meaning = ([y, rnorm, dy]) => {
  const c = y!.shape.at(-1)!;
  const gradients = rowsOf(dy!.data, c);
  const along = rowsOf(y!.data, c).map((row, r) => dot(row, gradients[r]!));
  return [
    dy!.data.map((g, i) => {
      const r = Math.floor(i / c);
      return rnorm!.data[r]! * (g - y!.data[i]! * along[r]!);
    }),
  ];
};

export const meanings: Record<string, Meaning> = { l2Normalize, l2NormalizeVjp };
