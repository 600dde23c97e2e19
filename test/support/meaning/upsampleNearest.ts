import type { Meaning } from '../interpreter.js';

/** Calls `visit(large, small)` with the places of every element of the large picture and of the one it repeats. */
function eachPair(
  [n, h, w, c]: readonly number[],
  { height, width }: { height: number; width: number },
  visit: (large: number, small: number) => void,
): void {
  let large = 0;
  for (let s = 0; s < n!; s++) {
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const row = (s * h! + Math.floor((i * h!) / height)) * w! + Math.floor((j * w!) / width);
        for (let k = 0; k < c!; k++) visit(large++, row * c! + k);
      }
    }
  }
}

const upsampleNearest: Meaning = ([x], { height, width }) => {
  const [n, , , c] = x!.shape;
  const y = new Float64Array(n! * height! * width! * c!);
  eachPair(x!.shape, { height: height!, width: width! }, (large, small) => {
    y[large] = x!.data[small]!;
  });
  return [y];
};

const upsampleNearestVjp: Meaning = ([dy], { height, width }) => {
  const [n, h, w, c] = dy!.shape as [number, number, number, number];
  const dx = new Float64Array(n * height! * width! * c);
  eachPair([n, height!, width!, c], { height: h, width: w }, (large, small) => {
    dx[small]! += dy!.data[large]!;
  });
  return [dx];
};

export const meanings: Record<string, Meaning> = { upsampleNearest, upsampleNearestVjp };
