import type { Meaning, Tensor64 } from '../interpreter.js';

type Round = (data: Float64Array) => Float64Array;

/** c [rows, columns] = Σ_k of what `term` gives. */
function sums(rows: number, columns: number, k: number, term: (row: number, column: number, i: number) => number) {
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let i = 0; i < k; i++) sum += term(row, column, i);
    return sum;
  });
}

/** Sizes (out and stack of one layer, columns of H), and element c, k of the copy of a that a token row reads. */
function sizesOf(x: Tensor64, a: Tensor64, b: Tensor64, layers: number) {
  const [n, t, width] = x.shape as [number, number, number];
  const [copies, columns] = a.shape as [number, number];
  const [outs, stack] = b.shape as [number, number];
  const copyOf = (row: number): number => (copies === 1 ? 0 : Math.floor(row / t));
  const at = (row: number, c: number, k: number): number => a.data[(copyOf(row) * columns + c) * width + k]!;
  return { rows: n * t, width, copies, columns, stack, outs, out: outs / layers, copyOf, at };
}

/** The ops, E rounded. */
export function branchMeanings(round: Round): Record<string, Meaning> {
  const lowRankBranch: Meaning = ([base, x, a, b], { scale, layers }) => {
    const { rows, width, columns, stack, outs, out, at } = sizesOf(x!, a!, b!, layers!);
    const h = sums(rows, columns, width, (row, c, k) => x!.data[row * width + k]! * at(row, c, k));
    const y = sums(rows, outs, stack, (row, o, c) => {
      return scale! * h[row * columns + Math.floor(o / out) * stack + c]! * b!.data[o * stack + c]!;
    });
    return [y.map((value, i) => value + base!.data[i]!), h];
  };
  const lowRankBranchVjp: Meaning = ([x, a, b, h, dy, through], { scale, rank, layers }, outputs) => {
    const { rows, width, copies, columns, stack, outs, out, copyOf, at } = sizesOf(x!, a!, b!, layers!);
    const r = rank!;
    const e = round(
      sums(rows, columns, out, (row, c, i) => {
        const o = Math.floor(c / stack) * out + i;
        return scale! * dy!.data[row * outs + o]! * b!.data[o * stack + (c % stack)]!;
      }),
    );
    const own = sums(rows, width, columns, (row, k, c) => e[row * columns + c]! * at(row, c, k));
    const dx = own.map((value, i) => value + (through?.data[i] ?? 0));
    const dA = sums(copies * columns, width, rows, (c, k, row) =>
      copyOf(row) === Math.floor(c / columns) ? e[row * columns + (c % columns)]! * x!.data[row * width + k]! : 0,
    );
    const dB = sums(outs, r, rows, (o, j, row) => {
      return scale! * dy!.data[row * outs + o]! * h!.data[row * columns + Math.floor(o / out) * stack + j]!;
    });
    return [dx, dA, dB].map((gradient, i) => (outputs[i] ? gradient : null));
  };
  return { lowRankBranch, lowRankBranchVjp };
}

export const meanings: Record<string, Meaning> = branchMeanings((data) => data);
