import { ShapeError } from '../errors.js';
import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape } from '../graph/shapes.js';

/**
 * perSample [n] = lse − logits[label], lse [n] = log Σ e^logits over the classes, loss [1] = mean of perSample. logits [n, c], labels [n]
 * i32 in [0, c). Exponentials in float32, sums over classes and samples in float64.
 */
export const softmaxCrossEntropyOp: Op = {
  name: 'softmaxCrossEntropy',
  attrs: [],
  vjp: (node, [dloss, dperSample], [needLogits]) => {
    if (dperSample) throw new ShapeError(`[softmaxCrossEntropy] only the loss has a gradient rule (at ${node.path})`);
    return [needLogits ? softmaxCrossEntropyVjp(node, dloss!) : null, null];
  },
};

/** dlogits = dloss · (e^(logits − lse) − [class = label]) / n, dloss [1]. */
export const softmaxCrossEntropyVjpOp: Op = { name: 'softmaxCrossEntropyVjp', attrs: [], overwrites: [0] };

export function softmaxCrossEntropy(logits: Value, labels: Value): { loss: Value; perSample: Value } {
  expectRank('softmaxCrossEntropy', 'logits', logits, 2);
  expectDType('softmaxCrossEntropy', 'logits', logits, 'f32');
  const n = logits.shape[0]!;
  expectShape('softmaxCrossEntropy', 'labels', labels, [n]);
  expectDType('softmaxCrossEntropy', 'labels', labels, 'i32');
  const node = addNode(
    logits.graph,
    softmaxCrossEntropyOp,
    [logits, labels],
    [
      { name: 'loss', shape: [1], dtype: 'f32' },
      { name: 'perSample', shape: [n], dtype: 'f32' },
      { name: 'lse', shape: [n], dtype: 'f32' },
    ],
  );
  return { loss: node.outputs[0]!, perSample: node.outputs[1]! };
}

function softmaxCrossEntropyVjp(node: Node, dloss: Value): Value {
  const [logits, labels] = node.inputs as [Value, Value];
  const outputs = [{ name: 'dlogits', shape: logits.shape, dtype: logits.dtype }];
  const inputs = [logits, labels, node.outputs[2]!, dloss];
  return addNode(dloss.graph, softmaxCrossEntropyVjpOp, inputs, outputs).outputs[0]!;
}
