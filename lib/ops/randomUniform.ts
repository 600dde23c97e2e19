import { addNode, type Op, type Shape, type Value } from '../graph/graph.js';
import { expectKey } from './randomNormal.js';

/** Independent uniforms in [0, 1), multiples of 2⁻²⁴: value i is (word i mod 4 of block ⌊i/4⌋ >> 8)·2⁻²⁴. Keys as in randomNormal. */
export const randomUniformOp: Op = { name: 'randomUniform', attrs: [] };

/**
 * Draws uniforms: the same for the same key, whatever the number of threads.
 * @param key [4], or [n, 4] for a shape [n, ...]: sample i then draws from its own key, as if alone
 * @returns y of the given shape, f32
 * @throws ShapeError
 */
export function randomUniform(key: Value, shape: Shape): Value {
  expectKey('randomUniform', key, shape);
  return addNode(key.graph, randomUniformOp, [key], [{ name: 'y', shape, dtype: 'f32' }]).outputs[0]!;
}
