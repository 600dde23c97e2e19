import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/** y = x[..., start:end], on the last axis. */
export const sliceOp: Op = {
  name: 'slice',
  attrs: ['start', 'end'],
  vjp: (node, [dy]) => [sliceVjp(dy!, node.inputs[0]!, node.attrs.start!)],
};

/** dx [..., width] is dy in columns from `start` and 0 elsewhere. */
export const sliceVjpOp: Op = { name: 'sliceVjp', attrs: ['start', 'width'] };

export function slice(x: Value, { start, end }: { start: number; end: number }): Value {
  const width = x.shape.at(-1) ?? 0;
  const inside = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= width;
  expectThat(inside, 'slice', 'start and end', `0 ≤ start < end ≤ ${width}`, `${start}, ${end}`, x);
  const shape = [...x.shape.slice(0, -1), end - start];
  return addNode(x.graph, sliceOp, [x], [{ name: 'y', shape, dtype: x.dtype }], { start, end }).outputs[0]!;
}

function sliceVjp(dy: Value, x: Value, start: number): Value {
  const outputs = [{ name: 'dx', shape: x.shape, dtype: dy.dtype }];
  return addNode(dy.graph, sliceVjpOp, [dy], outputs, { start, width: x.shape.at(-1)! }).outputs[0]!;
}
