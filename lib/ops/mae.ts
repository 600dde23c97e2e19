import { ShapeError } from '../errors.js';
import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape } from '../graph/shapes.js';

/** loss [1] = mean of |prediction − target| over everything; sums in float64, result f32. */
export const maeOp: Op = {
  name: 'mae',
  attrs: [],
  scratchBytes: (node) => 8 * blocks(node.inputs[0]!),
  vjp: (node, [dloss], [needPrediction, needTarget]) => {
    if (needTarget) throw new ShapeError(`[mae] the target has no gradient rule (at ${node.path})`);
    return [needPrediction ? maeVjp(node, dloss!) : null, null];
  },
};

/** dprediction = dloss · sign(prediction − target) / N, 0 where they are equal; dloss [1]. */
export const maeVjpOp: Op = { name: 'maeVjp', attrs: [], overwrites: [0, 1] };

/** Blocks of 16384 elements, as in native/cpu/blocks.h. */
function blocks(x: Value): number {
  return Math.ceil(elements(x.shape) / 16384);
}

export function mae(prediction: Value, target: Value): Value {
  expectShape('mae', 'target', target, prediction.shape);
  const outputs = [{ name: 'loss', shape: [1], dtype: 'f32' as const }];
  return addNode(prediction.graph, maeOp, [prediction, target], outputs).outputs[0]!;
}

function maeVjp(node: Node, dloss: Value): Value {
  const [prediction, target] = node.inputs as [Value, Value];
  const outputs = [{ name: 'dprediction', shape: prediction.shape, dtype: prediction.dtype }];
  return addNode(dloss.graph, maeVjpOp, [prediction, target, dloss], outputs).outputs[0]!;
}
