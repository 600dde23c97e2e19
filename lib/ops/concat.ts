import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';
import { slice } from './slice.js';

/** y [..., p + q] = [a | b] on the last axis, a [..., p], b [..., q]. */
export const concatOp: Op = {
  name: 'concat',
  attrs: [],
  leading: (node, [a, b]) => (b === 0 ? a! : node.outputs[0]!.shape.at(-1)!),
  vjp: (node, [dy], [needA, needB]) => {
    const start = node.inputs[0]!.shape.at(-1)!;
    const end = dy!.shape.at(-1)!;
    return [
      needA ? (end <= start ? dy! : slice(dy!, { start: 0, end: start })) : null,
      needB ? slice(dy!, { start, end }) : null,
    ];
  },
};

export function concat(a: Value, b: Value): Value {
  expectThat(
    a.shape.length >= 1 && b.shape.length >= 1,
    'concat',
    'dimensions',
    '1 or more',
    `[${a.shape}], [${b.shape}]`,
    a,
  );
  const rows = a.shape.slice(0, -1);
  expectShape('concat', 'b', b, [...rows, b.shape.at(-1)!]);
  const shape = [...rows, a.shape.at(-1)! + b.shape.at(-1)!];
  return addNode(a.graph, concatOp, [a, b], [{ name: 'y', shape, dtype: a.dtype }]).outputs[0]!;
}
