import { addNode, elements, type Op, type Shape, type Value } from '../graph/graph.js';
import { expectSize } from '../graph/shapes.js';

/** The same elements under another shape: a view, nothing runs. */
export const reshapeOp: Op = {
  name: 'reshape',
  attrs: [],
  alias: { 0: 0 },
  kernel: false,
  vjp: (node, [dy]) => [reshape(dy!, node.inputs[0]!.shape)],
};

export function reshape(x: Value, shape: Shape): Value {
  expectSize('reshape', 'elements', x, elements(shape), elements(x.shape));
  return addNode(x.graph, reshapeOp, [x], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}
