import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';
import { expectKey } from './randomNormal.js';

/** Which of a matrix's singular components, ordered by descending singular value. */
export type SingularRange = 'last' | 'middle' | 'principal';

/** Index of the first of `rank` neighbours among `count`: principal 0, last count − rank, middle the upper of the two middles. */
export function firstOfRange(which: SingularRange, count: number, rank: number): number {
  if (which === 'principal') return 0;
  return which === 'last' ? count - rank : Math.ceil((count - rank) / 2);
}

export interface GaussianMatrix {
  rows: number;
  cols: number;
  /** How many singular values to give. */
  rank: number;
  which: SingularRange;
  /** Standard deviation of the matrix's entries. */
  std: number;
}

/**
 * Singular values of a Gaussian matrix that is never made: those of the upper bidiagonal matrix with independent entries
 * χ_m, χ_{m−1}, …, χ_{m−n+1} (diagonal) and χ_{n−1}, …, χ_1 (superdiagonal), m ≥ n, have the same law (Silverstein 1985; Dumitriu and
 * Edelman 2002). Bisection on the sign count of BᵀB − x² gives the wanted ones, each with small relative error. Keys as in randomNormal.
 *
 * χ_k² / 2 is Gamma(k/2) by Marsaglia and Tsang (2000). Entry j (diagonal 0 … n−1, then superdiagonal) takes its attempt a from block
 * (a, j): words 0 and 1 give the normal (cosine), word 2 the uniform of the test. χ_1 is the size of attempt 0's normal.
 */
export const gaussianSingularValuesOp: Op = {
  name: 'gaussianSingularValues',
  attrs: ['rows', 'cols', 'first', 'std'],
  scratchBytes: (node, threads) => {
    const { rows, cols } = node.attrs as { rows: number; cols: number };
    return threads * 8 * (2 * Math.min(rows, cols) + node.outputs[0]!.shape.at(-1)!);
  },
  // Both diagonals of every matrix.
  cudaScratchBytes: (node) => {
    const { rows, cols } = node.attrs as { rows: number; cols: number };
    return (node.inputs[0]!.shape.length === 2 ? node.inputs[0]!.shape[0]! : 1) * 8 * 2 * Math.min(rows, cols);
  },
};

/**
 * @param key [4], or [layers, 4] for as many independent draws
 * @returns [rank] or [layers, rank], descending, f32
 * @throws ShapeError
 */
export function gaussianSingularValues(key: Value, { rows, cols, rank, which, std }: GaussianMatrix): Value {
  const shape = [...key.shape.slice(0, -1), rank];
  expectKey('gaussianSingularValues', key, shape);
  const count = Math.min(rows, cols);
  expectThat(rank >= 1 && rank <= count, 'gaussianSingularValues', 'rank', `1 to ${count}`, `${rank}`, key);
  const attrs = { rows, cols, first: firstOfRange(which, count, rank), std };
  return addNode(key.graph, gaussianSingularValuesOp, [key], [{ name: 'sigma', shape, dtype: 'f32' }], attrs)
    .outputs[0]!;
}
