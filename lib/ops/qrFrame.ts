import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/**
 * The orthonormal frame Q of the thin QR factorization G = Q·R with a positive diagonal of R, by Householder reflectors in float64.
 * Of a Gaussian G it is Haar-distributed (Mezzadri, "How to generate random matrices from the classical compact groups", 2007).
 * Where a column depends on those before it, Q is still orthonormal. Several matrices are shared out among the threads.
 */
export const qrFrameOp: Op = {
  name: 'qrFrame',
  attrs: ['transposed'],
  flops: (node) => {
    const [count, m, r] = batchOf(node.inputs[0]!);
    return count * 4 * r * r * (m - r / 3);
  },
  scratchBytes: (node: Node, threads) => {
    const [, m, r] = batchOf(node.inputs[0]!);
    return threads * frameScratchBytes(m, r);
  },
  cudaScratchBytes: (node) => cudaFrameScratchBytes(...batchOf(node.inputs[0]!)),
};

/** Float64 working memory of one QR: columns padded to 8, and six rows more for coefficients and products. */
export function frameScratchBytes(rows: number, columns: number): number {
  return 8 * (rows + 6) * 8 * Math.ceil(columns / 8);
}

/**
 * native/cuda/frames.cu: a mark for each matrix; then for each of up to 256 blocks a Gram matrix and its diagonal, or for each of up to
 * 8 a float64 copy with three rows of coefficients.
 */
export function cudaFrameScratchBytes(count: number, rows: number, columns: number): number {
  const products = Math.min(count, 256) * (columns + 1) * columns;
  const copies = Math.min(count, 8) * (rows + 3) * columns;
  return 8 * (Math.ceil(count / 2) + Math.max(products, copies));
}

function batchOf(g: Value): [count: number, m: number, r: number] {
  const [m, r] = g.shape.slice(-2) as [number, number];
  return [g.shape.length === 3 ? g.shape[0]! : 1, m, r];
}

/**
 * @param g [m, r] or [layers, m, r], m ≥ r
 * @param options transposed: give the frames as rows, [r, m]
 * @returns q [(layers,) m, r], or [(layers,) r, m]
 * @throws ShapeError
 */
export function qrFrame(g: Value, { transposed = false }: { transposed?: boolean } = {}): Value {
  const dimensions = g.shape.length;
  expectThat(dimensions === 2 || dimensions === 3, 'qrFrame', 'dimensions of g', '2 or 3', `[${g.shape}]`, g);
  const [, m, r] = batchOf(g);
  expectThat(m >= r, 'qrFrame', 'rows of g', `at least ${r}`, `${m}`, g);
  const shape = [...g.shape.slice(0, -2), ...(transposed ? [r, m] : [m, r])];
  return addNode(g.graph, qrFrameOp, [g], [{ name: 'q', shape, dtype: 'f32' }], { transposed: Number(transposed) })
    .outputs[0]!;
}
