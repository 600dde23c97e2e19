import type { Meaning } from '../interpreter.js';

const gatherRows: Meaning = ([x, index]) => {
  const [n, t, c] = x!.shape as [number, number, number];
  const y = new Float64Array(n * c);
  return [y.map((_, i) => x!.data[(Math.floor(i / c) * t + index!.data[Math.floor(i / c)]!) * c + (i % c)]!)];
};

const gatherRowsVjp: Meaning = ([index, dy], { rows }) => {
  const [n, c] = dy!.shape as [number, number];
  const dx = new Float64Array(n * rows! * c);
  dy!.data.forEach((g, i) => {
    const sample = Math.floor(i / c);
    dx[(sample * rows! + index!.data[sample]!) * c + (i % c)] = g;
  });
  return [dx];
};

export const meanings: Record<string, Meaning> = { gatherRows, gatherRowsVjp };
