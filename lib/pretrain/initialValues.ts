import type { Shape } from '../graph/graph.js';
import type { FlatEntry, FlatLayout } from '../params/flatLayout.js';
import { standardNormals } from '../random/philox.js';

/** Ends of residual branches: they begin small, so that a block begins near the identity. */
const BRANCH_ENDS = /\.(to_out\.0|ff\.net\.2|out_proj|fc2)\.weight$/;
/** Ends of residual branches of convolutions, the UNet's output and the head beside it: they begin at zero. */
const ZEROS = /(\.conv2|\.proj_out|^unet\/conv_out|^silhouette\/conv)\.weight$/;

/**
 * Spread of the start of a tensor: 1/√(inputs) for matrices and kernels, 0.3 of that at ends of branches, 1 for tokens and 0.3 for their
 * positions, so that words stay apart however the layers begin; 0 for biases and where ZEROS says so.
 */
function startSpread(name: string, shape: Shape): number {
  if (name.endsWith('.bias') || ZEROS.test(name)) return 0;
  if (name.endsWith('token_embedding.weight')) return 1;
  if (name.endsWith('position_embedding.weight')) return 0.3;
  const inputs = shape.slice(1).reduce((a, b) => a * b, 1);
  return (BRANCH_ENDS.test(name) ? 0.3 : 1) / Math.sqrt(inputs);
}

/**
 * The start of one tensor: scales of norms (the only weights with one dimension) are 1, the rest normal with mean 0.
 * @param index of the tensor in its layout: tensor i draws from stream i of the seed
 */
export function initialValues(name: string, { shape, count }: FlatEntry, seed: number, index: number): Float32Array {
  if (shape.length === 1 && name.endsWith('.weight')) return new Float32Array(count).fill(1);
  const spread = startSpread(name, shape);
  if (spread === 0) return new Float32Array(count);
  return standardNormals(seed, index, count).map((v) => v * spread);
}

/** Hands the start of every tensor of a layout to `write`, with its offset. */
export function writeInitialValues(
  layout: FlatLayout,
  seed: number,
  write: (offset: number, values: Float32Array) => void,
): void {
  [...layout.entries].forEach(([name, entry], index) => {
    write(entry.offset, initialValues(name, entry, seed, index));
  });
}
