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

/** Sizes, and element c, k of the copy of a that a token row reads. */
function sizesOf(x: Tensor64, a: Tensor64, b: Tensor64) {
  const [n, t, width] = x.shape as [number, number, number];
  const [copies, stack] = a.shape as [number, number];
  const [out, blocks] = b.shape as [number, number];
  const copyOf = (row: number): number => (copies === 1 ? 0 : Math.floor(row / t));
  const at = (row: number, c: number, k: number): number => a.data[(copyOf(row) * stack + c) * width + k]!;
  return { rows: n * t, width, copies, stack, out, blocks, copyOf, at };
}

/** The ops with their inner products, H and E, rounded. */
export function branchMeanings(round: Round): Record<string, Meaning> {
  const lowRankBranch: Meaning = ([base, x, a, b], { scale }) => {
    const { rows, width, stack, out, blocks, at } = sizesOf(x!, a!, b!);
    const h = round(sums(rows, stack, width, (row, c, k) => x!.data[row * width + k]! * at(row, c, k)));
    const y = sums(rows, out, stack, (row, o, c) => scale! * h[row * stack + c]! * b!.data[o * blocks + c]!);
    return [y.map((value, i) => value + base!.data[i]!), h];
  };
  const lowRankBranchVjp: Meaning = ([x, a, b, h, dy], { scale, rank }, outputs) => {
    const { rows, width, copies, stack, out, blocks, copyOf, at } = sizesOf(x!, a!, b!);
    const r = rank!;
    const trained = blocks > stack ? stack : 0;
    const e = round(
      sums(rows, blocks, out, (row, c, o) => scale! * dy!.data[row * out + o]! * b!.data[o * blocks + c]!),
    );
    const dx = sums(rows, width, stack, (row, k, c) => e[row * blocks + c]! * at(row, c, k));
    const dA = sums(copies * r, width, rows, (i, k, row) =>
      copyOf(row) === Math.floor(i / r) ? e[row * blocks + trained + (i % r)]! * x!.data[row * width + k]! : 0,
    );
    const dB = sums(out, r, rows, (o, j, row) => scale! * dy!.data[row * out + o]! * h!.data[row * stack + j]!);
    return [dx, dA, dB].map((gradient, i) => (outputs[i] ? gradient : null));
  };
  return { lowRankBranch, lowRankBranchVjp };
}

export const meanings: Record<string, Meaning> = branchMeanings((data) => data);
