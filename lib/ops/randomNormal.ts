import { addNode, type Op, type Shape, type Value } from '../graph/graph.js';
import { expectDType, expectSize, expectThat } from '../graph/shapes.js';

/**
 * Independent normals N(0, std²) from Philox4x32-10. Key words: seed low, seed high, stream low, stream high. Block b (counter b low, b high,
 * stream low, stream high) gives values 4b … 4b+3: with u = (word + ½)·2⁻³², the word pairs (0, 1) and (2, 3) each give
 * sqrt(−2 ln u)·cos 2πu' and sqrt(−2 ln u)·sin 2πu', in float64, times std, then rounded.
 */
export const randomNormalOp: Op = { name: 'randomNormal', attrs: ['std'] };

/** Throws a ShapeError unless `key` is [4], or [shape[0], 4]: one key for everything, or one for each first index. */
export function expectKey(op: string, key: Value, shape: Shape): void {
  expectDType(op, 'key', key, 'i32');
  expectSize(op, 'words of a key', key, key.shape.at(-1), 4);
  const ok = key.shape.length === 1 || (key.shape.length === 2 && key.shape[0] === shape[0]);
  expectThat(ok, op, 'shape of key', `[4] or [${shape[0]},4]`, `[${key.shape}]`, key);
}

/**
 * Draws normals: the same for the same key, whatever the number of threads.
 * @param key [4], or [n, 4] for a shape [n, ...]: sample i then draws from its own key, as if alone
 * @returns y of the given shape, f32
 * @throws ShapeError
 */
export function randomNormal(key: Value, shape: Shape, { std = 1 }: { std?: number } = {}): Value {
  expectKey('randomNormal', key, shape);
  return addNode(key.graph, randomNormalOp, [key], [{ name: 'y', shape, dtype: 'f32' }], { std }).outputs[0]!;
}
