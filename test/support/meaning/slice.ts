import type { Meaning } from '../interpreter.js';

const slice: Meaning = ([x], { start, end }) => {
  const width = x!.shape.at(-1)!;
  return [x!.data.filter((_, i) => i % width >= start! && i % width < end!)];
};

const sliceVjp: Meaning = ([dy], { start, width }) => {
  const c = dy!.shape.at(-1)!;
  const dx = new Float64Array((dy!.data.length / c) * width!);
  dy!.data.forEach((g, i) => {
    dx[Math.floor(i / c) * width! + start! + (i % c)] = g;
  });
  return [dx];
};

export const meanings: Record<string, Meaning> = { slice, sliceVjp };
