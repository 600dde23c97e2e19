import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectThat } from '../graph/shapes.js';
import { firstOfRange, type SingularRange } from './gaussianSingularValues.js';
import { expectKey } from './randomNormal.js';

/**
 * Rows of the left factor U [m, m] that LAPACK's full SVD gives for an m × n Gaussian matrix, m > n, without that SVD. U's first n columns
 * are Haar; the others come from the reflectors of the bidiagonalization and lean towards the identity. Steps, for r rows:
 * the unit rows e_first …; n reflectors from the right, the k-th on columns k … m, made as LAPACK does (β = −sign(x₁)·|x|, v = x − β·e₁)
 * from a Gaussian x of length m − k + 1; the last m − n columns stay (C); the first n become L·Z, L·Lᵀ = I − C·Cᵀ, Z a Haar frame.
 * Float64 inside. x of reflector k (from 0) is drawn from blocks (b, k + 1) of the key, four normals a block.
 */
export const complementFrameOp: Op = {
  name: 'complementFrame',
  attrs: ['first'],
  flops: (node) => {
    const [count, n, r] = node.inputs[1]!.shape as [number, number, number];
    return count * 4 * r * n * (node.outputs[0]!.shape[2]! - n / 2);
  },
  scratchBytes: (node, threads) => {
    const [, r, m] = node.outputs[0]!.shape as [number, number, number];
    const padded = 8 * Math.ceil(r / 8);
    // In float64: the frame's transpose, two reflectors, two products, L.
    return threads * 8 * ((m + 2 + r) * padded + 2 * (m + 8));
  },
  // For each of up to 64 blocks, in float64: the frame, a reflector, L.
  cudaScratchBytes: (node) => {
    const [count, r, m] = node.outputs[0]!.shape as [number, number, number];
    return Math.min(count, 64) * 8 * ((r + 1) * m + r * r);
  },
};

/**
 * @param key [layers, 4], i32
 * @param z [layers, n, r]: Haar frames, as qrFrame gives them
 * @param options rows: m > n; which rows of U
 * @returns [layers, r, m], orthonormal rows
 * @throws ShapeError
 */
export function complementFrame(key: Value, z: Value, options: { rows: number; which: SingularRange }): Value {
  expectRank('complementFrame', 'z', z, 3);
  const [count, n, r] = z.shape as [number, number, number];
  const shape = [count, r, options.rows];
  expectRank('complementFrame', 'key', key, 2);
  expectKey('complementFrame', key, shape);
  expectThat(options.rows > n, 'complementFrame', 'rows', `more than ${n}`, `${options.rows}`, z);
  const attrs = { first: firstOfRange(options.which, options.rows, r) };
  return addNode(key.graph, complementFrameOp, [key, z], [{ name: 'frame', shape, dtype: 'f32' }], attrs).outputs[0]!;
}
