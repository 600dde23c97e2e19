import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape } from '../graph/shapes.js';

/** y [n, c] = x[i, index[i]] for every sample i: x [n, t, c], index [n] i32 in [0, t). */
export const gatherRowsOp: Op = {
  name: 'gatherRows',
  attrs: [],
  vjp: (node, [dy], [needX]) => [needX ? gatherRowsVjp(node.inputs[1]!, dy!, node.inputs[0]!) : null, null],
};

/** dx [n, rows, c] is dy[i] in row index[i] of sample i and 0 elsewhere. */
export const gatherRowsVjpOp: Op = { name: 'gatherRowsVjp', attrs: ['rows'] };

export function gatherRows(x: Value, index: Value): Value {
  expectRank('gatherRows', 'x', x, 3);
  expectShape('gatherRows', 'index', index, [x.shape[0]!]);
  expectDType('gatherRows', 'index', index, 'i32');
  const shape = [x.shape[0]!, x.shape[2]!];
  return addNode(x.graph, gatherRowsOp, [x, index], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}

function gatherRowsVjp(index: Value, dy: Value, x: Value): Value {
  const outputs = [{ name: 'dx', shape: x.shape, dtype: dy.dtype }];
  return addNode(dy.graph, gatherRowsVjpOp, [index, dy], outputs, { rows: x.shape[1]! }).outputs[0]!;
}
