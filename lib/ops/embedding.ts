import { addNode, type DType, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank } from '../graph/shapes.js';

/** y [n, t, c] = table[ids], ids [n, t] i32 in [0, v), table [v, c] in any float type, widened row by row. */
export const embeddingOp: Op = {
  name: 'embedding',
  attrs: [],
  vjp: (node, [dy], [, needTable]) => [null, needTable ? embeddingVjp(node.inputs[0]!, dy!, node.inputs[1]!) : null],
};

/** dtable [rows, c] f32: for each row, the sum of dy where ids say so, in the order of the tokens. */
export const embeddingVjpOp: Op = { name: 'embeddingVjp', attrs: ['rows'] };

/** `dtype` is the type of the result (default f32). */
export function embedding(ids: Value, table: Value, dtype: DType = 'f32'): Value {
  expectRank('embedding', 'ids', ids, 2);
  expectDType('embedding', 'ids', ids, 'i32');
  expectRank('embedding', 'table', table, 2);
  expectDType('embedding', 'table', table, 'f32', 'f16', 'bf16');
  const shape = [...ids.shape, table.shape[1]!];
  return addNode(ids.graph, embeddingOp, [ids, table], [{ name: 'y', shape, dtype }]).outputs[0]!;
}

function embeddingVjp(ids: Value, dy: Value, table: Value): Value {
  const outputs = [{ name: 'dtable', shape: table.shape, dtype: 'f32' as const }];
  return addNode(dy.graph, embeddingVjpOp, [ids, dy], outputs, { rows: table.shape[0]! }).outputs[0]!;
}
