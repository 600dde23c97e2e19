import { ShapeError } from '../errors.js';
import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';

/** loss [1] = mean of (prediction − target)² over everything, perSample [n] the same for each sample; sums in float64, results f32. */
export const mseOp: Op = {
  name: 'mse',
  attrs: [],
  scratchBytes: (node) => 8 * node.inputs[0]!.shape[0]! * chunksPerSample(node.inputs[0]!),
  vjp: (node, [dloss, dperSample], [needPrediction, needTarget]) => {
    if (dperSample || needTarget) {
      throw new ShapeError(`[mse] only the loss with respect to the prediction has a gradient rule (at ${node.path})`);
    }
    return [needPrediction ? mseVjp(node, dloss!) : null, null];
  },
};

/** dprediction = dloss · 2 · (prediction − target) / N, dloss [1]. */
export const mseVjpOp: Op = { name: 'mseVjp', attrs: [], overwrites: [0, 1] };

/** Chunks of 16384 elements of one sample, as in native/cpu/mse.cpp. */
function chunksPerSample(x: Value): number {
  return Math.ceil(elements(x.shape.slice(1)) / 16384);
}

export function mse(prediction: Value, target: Value): { loss: Value; perSample: Value } {
  expectThat(prediction.shape.length >= 1, 'mse', 'dimensions of prediction', '1 or more', '[]', prediction);
  expectShape('mse', 'target', target, prediction.shape);
  const node = addNode(
    prediction.graph,
    mseOp,
    [prediction, target],
    [
      { name: 'loss', shape: [1], dtype: 'f32' },
      { name: 'perSample', shape: [prediction.shape[0]!], dtype: 'f32' },
    ],
  );
  return { loss: node.outputs[0]!, perSample: node.outputs[1]! };
}

function mseVjp(node: Node, dloss: Value): Value {
  const [prediction, target] = node.inputs as [Value, Value];
  const outputs = [{ name: 'dprediction', shape: prediction.shape, dtype: prediction.dtype }];
  return addNode(dloss.graph, mseVjpOp, [prediction, target, dloss], outputs).outputs[0]!;
}
