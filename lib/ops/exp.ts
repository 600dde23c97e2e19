import { addNode, type Op, type Value } from '../graph/graph.js';

/** y = eˣ, elementwise. */
export const expOp: Op = {
  name: 'exp',
  attrs: [],
  overwrites: [0],
  vjp: (node, [dy]) => [expVjp(node.outputs[0]!, dy!)],
};

/** dx = dy · y, y being the result. */
export const expVjpOp: Op = { name: 'expVjp', attrs: [], overwrites: [0, 1] };

export function exp(x: Value): Value {
  return addNode(x.graph, expOp, [x], [{ name: 'y', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}

function expVjp(y: Value, dy: Value): Value {
  return addNode(dy.graph, expVjpOp, [y, dy], [{ name: 'dx', shape: y.shape, dtype: dy.dtype }]).outputs[0]!;
}
