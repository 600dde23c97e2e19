import { addNode, type Op, type Value } from '../graph/graph.js';

/** The three curves called GELU: exact, x · sigmoid(1.702 x) of CLIP, and the tanh approximation. */
export type GeluKind = 'erf' | 'quick' | 'tanh';

const KINDS: readonly GeluKind[] = ['erf', 'quick', 'tanh'];

/** y = x · Φ(x), elementwise; `kind` 0 erf, 1 quick, 2 tanh. */
export const geluOp: Op = {
  name: 'gelu',
  attrs: ['kind'],
  overwrites: [0],
  vjp: (node, [dy]) => [geluVjp(node.inputs[0]!, dy!, node.attrs.kind!)],
};

/** dx = dy · dy/dx of the same curve. */
export const geluVjpOp: Op = { name: 'geluVjp', attrs: ['kind'], overwrites: [0, 1] };

export function gelu(x: Value, kind: GeluKind): Value {
  const attrs = { kind: KINDS.indexOf(kind) };
  return addNode(x.graph, geluOp, [x], [{ name: 'y', shape: x.shape, dtype: x.dtype }], attrs).outputs[0]!;
}

function geluVjp(x: Value, dy: Value, kind: number): Value {
  return addNode(x.graph, geluVjpOp, [x, dy], [{ name: 'dx', shape: x.shape, dtype: dy.dtype }], { kind }).outputs[0]!;
}
