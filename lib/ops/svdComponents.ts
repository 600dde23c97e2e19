import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectThat } from '../graph/shapes.js';
import { firstOfRange, type SingularRange } from './gaussianSingularValues.js';

/**
 * Singular triples of w, a range of the thin decomposition by descending singular value: w·downᵀ = up·diag(sigma), wᵀ·up = downᵀ·diag(sigma),
 * both factors orthonormal also where w has too small a rank or equal singular values. Householder bidiagonalization, then
 * implicit QR (Golub and Kahan 1965; zero shift of Demmel and Kahan 1990), in float64. The entry of largest size in each row of down is positive.
 */
export const svdComponentsOp: Op = {
  name: 'svdComponents',
  attrs: ['first'],
  matrices: [0],
  flops: (node) => {
    const [n, m] = [...node.inputs[0]!.shape].sort((a, b) => a - b) as [number, number];
    return 4 * n * n * (m - n / 3);
  },
  scratchBytes: (node) => {
    const [n, m] = [...node.inputs[0]!.shape].sort((a, b) => a - b) as [number, number];
    const r = node.outputs[1]!.shape[0]!;
    const padded = 8 * Math.ceil(n / 8);
    // In float64: the matrix, 16 partial sums and 12 vectors as wide, and the vectors of the triples in blocks of 16.
    return 8 * ((m + 28) * padded + (m + n) * 16 * Math.ceil(r / 16));
  },
  // In float64: the matrix and its right vectors by columns, values, their order; then marks.
  cudaScratchBytes: (node) => {
    const [n, m] = [...node.inputs[0]!.shape].sort((a, b) => a - b) as [number, number];
    return 8 * (m * n + n * n + 2 * n) + 4 * (Math.ceil(n / 2) + 1);
  },
};

/**
 * @param w [out, in]
 * @returns up [out, rank], sigma [rank] descending, down [rank, in], all f32
 * @throws ShapeError
 */
export function svdComponents(
  w: Value,
  { rank, which }: { rank: number; which: SingularRange },
): { up: Value; sigma: Value; down: Value } {
  expectRank('svdComponents', 'w', w, 2);
  const [out, width] = w.shape as [number, number];
  const count = Math.min(out, width);
  expectThat(rank >= 1 && rank <= count, 'svdComponents', 'rank', `1 to ${count}`, `${rank}`, w);
  const node = addNode(
    w.graph,
    svdComponentsOp,
    [w],
    [
      { name: 'up', shape: [out, rank], dtype: 'f32' },
      { name: 'sigma', shape: [rank], dtype: 'f32' },
      { name: 'down', shape: [rank, width], dtype: 'f32' },
    ],
    { first: firstOfRange(which, count, rank) },
  );
  const [up, sigma, down] = node.outputs;
  return { up: up!, sigma: sigma!, down: down! };
}
