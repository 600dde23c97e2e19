import { addNode, type Op, type Value } from '../graph/graph.js';

/** y = factor · x. */
export const scaleOp: Op = {
  name: 'scale',
  attrs: ['factor'],
  overwrites: [0],
  vjp: (node, [dy]) => [scale(dy!, node.attrs.factor!)],
};

export function scale(x: Value, factor: number): Value {
  return addNode(x.graph, scaleOp, [x], [{ name: 'y', shape: x.shape, dtype: x.dtype }], { factor }).outputs[0]!;
}
