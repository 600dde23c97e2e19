import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectShape } from '../graph/shapes.js';

/** y = a + b, elementwise. */
export const addOp: Op = {
  name: 'add',
  attrs: [],
  overwrites: [0, 1],
  vjp: (_node, [dy], needs) => needs.map((need) => (need ? dy! : null)),
};

export function add(a: Value, b: Value): Value {
  expectShape('add', 'b', b, a.shape);
  return addNode(a.graph, addOp, [a, b], [{ name: 'y', shape: a.shape, dtype: a.dtype }]).outputs[0]!;
}
