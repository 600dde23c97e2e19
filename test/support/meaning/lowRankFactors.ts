import type { Meaning, Tensor64 } from '../interpreter.js';

type Optional = Tensor64 | null | undefined;

/** Row j of a down factor [r, in], times its diagonal. */
function scaledRow(down: Tensor64, lambda: Optional, j: number): Float64Array {
  const width = down.shape[1]!;
  return down.data.slice(j * width, (j + 1) * width).map((q) => q * (lambda ? lambda.data[j]! : 1));
}

const lowRankFactors: Meaning = ([activeRank, ...inputs], _attrs, outputs) =>
  outputs.map((output, i) => {
    const [up, down, lambda, up0, down0, lambda0] = inputs.slice(6 * Math.floor(i / 2));
    const r = down!.shape[0]!;
    if (i % 2 === 0) {
      const [copies, stack, width] = output!.shape as [number, number, number];
      const a = new Float64Array(copies * stack * width);
      for (let copy = 0; copy < copies; copy++) {
        for (let j = 0; j < Math.min(r, activeRank!.data[copy]!); j++) {
          const row = scaledRow(down!, lambda, j);
          a.set(row, (copy * stack + j) * width);
          if (!up0) continue;
          const start = scaledRow(down0!, lambda0, j);
          const change = row.map((value, k) => value - start[k]!);
          a.set(change, (copy * stack + stack / 2 + j) * width);
        }
      }
      return a;
    }
    const [out, columns] = output!.shape as [number, number];
    const b = new Float64Array(out * columns);
    for (let o = 0; o < out; o++) {
      for (let j = 0; j < r; j++) {
        const [p, p0] = [up!.data[o * r + j]!, up0 ? up0.data[o * r + j]! : 0];
        for (const [block, value] of (up0 ? [p - p0, p0, p] : [p]).entries())
          b[o * columns + (up0 ? block * (columns / 3) : 0) + j] = value;
      }
    }
    return b;
  });

const lowRankFactorsVjp: Meaning = ([activeRank, ...inputs], _attrs, outputs) =>
  outputs.map((output, i) => {
    if (!output) return null;
    const [down, lambda, g] = inputs.slice(3 * Math.floor(i / 2));
    const [copies, r, width] = g!.shape as [number, number, number];
    const dDown = new Float64Array(r * width);
    const dLambda = new Float64Array(r);
    for (let copy = 0; copy < copies; copy++) {
      for (let j = 0; j < Math.min(r, activeRank!.data[copy]!); j++) {
        for (let k = 0; k < width; k++) {
          const gradient = g!.data[(copy * r + j) * width + k]!;
          dDown[j * width + k]! += gradient * (lambda ? lambda.data[j]! : 1);
          dLambda[j]! += gradient * down!.data[j * width + k]!;
        }
      }
    }
    return i % 2 === 0 ? dDown : dLambda;
  });

export const meanings: Record<string, Meaning> = { lowRankFactors, lowRankFactorsVjp };
