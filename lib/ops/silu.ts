import { addNode, type Op, type Value } from '../graph/graph.js';

/** y = x · sigmoid(x), elementwise. */
export const siluOp: Op = {
  name: 'silu',
  attrs: [],
  overwrites: [0],
  vjp: (node, [dy]) => [siluVjp(node.inputs[0]!, dy!)],
};

/** dx = dy · s · (1 + x · (1 − s)) with s = sigmoid(x). */
export const siluVjpOp: Op = { name: 'siluVjp', attrs: [], overwrites: [0, 1] };

export function silu(x: Value): Value {
  return addNode(x.graph, siluOp, [x], [{ name: 'y', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}

function siluVjp(x: Value, dy: Value): Value {
  return addNode(x.graph, siluVjpOp, [x, dy], [{ name: 'dx', shape: x.shape, dtype: dy.dtype }]).outputs[0]!;
}
