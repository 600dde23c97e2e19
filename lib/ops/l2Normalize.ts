import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/** y = x / √(Σ x² + eps) over the last axis. x [..., c]; rnorm [...] f32, one over the root, is kept. */
export const l2NormalizeOp: Op = {
  name: 'l2Normalize',
  attrs: ['eps'],
  overwrites: [0],
  vjp: (node, [dy]) => [l2NormalizeVjp(node, dy!)],
};

/** dx = rnorm · (dy − y · Σ y dy). */
export const l2NormalizeVjpOp: Op = { name: 'l2NormalizeVjp', attrs: [], overwrites: [0, 2] };

export function l2Normalize(x: Value, { eps = 1e-12 }: { eps?: number } = {}): Value {
  expectThat(x.shape.length >= 1, 'l2Normalize', 'dimensions of x', '1 or more', '[]', x);
  const outputs = [
    { name: 'y', shape: x.shape, dtype: x.dtype },
    { name: 'rnorm', shape: x.shape.slice(0, -1), dtype: 'f32' as const },
  ];
  return addNode(x.graph, l2NormalizeOp, [x], outputs, { eps }).outputs[0]!;
}

function l2NormalizeVjp(node: Node, dy: Value): Value {
  const [y, rnorm] = node.outputs as [Value, Value];
  const outputs = [{ name: 'dx', shape: y.shape, dtype: dy.dtype }];
  return addNode(dy.graph, l2NormalizeVjpOp, [y, rnorm, dy], outputs).outputs[0]!;
}
