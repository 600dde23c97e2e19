import { addNode, elements, type Op, type Shape, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/** y [n, c] = mean of x [n, ..., c] over everything between sample and channel, in order; sums in float64. */
export const meanRowsOp: Op = {
  name: 'meanRows',
  attrs: [],
  vjp: (node, [dy]) => [meanRowsVjp(dy!, node.inputs[0]!.shape)],
};

/** dx [n, ..., c] = dy [n, c] divided by the number of rows, the same in every row of a sample. */
export const meanRowsVjpOp: Op = { name: 'meanRowsVjp', attrs: [] };

export function meanRows(x: Value): Value {
  const rows = elements(x.shape.slice(1, -1));
  expectThat(x.shape.length >= 3 && rows >= 1, 'meanRows', 'dimensions of x', '3 or more', `[${x.shape}]`, x);
  const shape = [x.shape[0]!, x.shape.at(-1)!];
  return addNode(x.graph, meanRowsOp, [x], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}

function meanRowsVjp(dy: Value, shape: Shape): Value {
  return addNode(dy.graph, meanRowsVjpOp, [dy], [{ name: 'dx', shape, dtype: dy.dtype }]).outputs[0]!;
}
