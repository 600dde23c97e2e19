import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank } from '../graph/shapes.js';

/** norm [1] = √ Σ g² over a flat gradient [N] f32, in float64 over chunks of 65536 elements in a fixed order. */
export const gradNormOp: Op = {
  name: 'gradNorm',
  attrs: [],
  scratchBytes: (node) => 8 * Math.ceil(node.inputs[0]!.shape[0]! / 65536),
};

export function gradNorm(grads: Value): Value {
  expectRank('gradNorm', 'grads', grads, 1);
  expectDType('gradNorm', 'grads', grads, 'f32');
  return addNode(grads.graph, gradNormOp, [grads], [{ name: 'norm', shape: [1], dtype: 'f32' }]).outputs[0]!;
}
