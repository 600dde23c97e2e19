import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/** y [..., c] = a · gelu(g) with x [..., 2c] = [a | g]; gelu with erf. */
export const gegluOp: Op = {
  name: 'geglu',
  attrs: [],
  vjp: (node, [dy]) => [gegluVjp(node.inputs[0]!, dy!)],
};

/** da = dy · gelu(g); dg = dy · a · gelu'(g); dx = [da | dg]. */
export const gegluVjpOp: Op = { name: 'gegluVjp', attrs: [], overwrites: [0] };

export function geglu(x: Value): Value {
  const width = x.shape.at(-1) ?? 0;
  expectThat(width > 0 && width % 2 === 0, 'geglu', 'last size of x', 'an even number', `${width}`, x);
  const shape = [...x.shape.slice(0, -1), width / 2];
  return addNode(x.graph, gegluOp, [x], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}

function gegluVjp(x: Value, dy: Value): Value {
  return addNode(x.graph, gegluVjpOp, [x, dy], [{ name: 'dx', shape: x.shape, dtype: dy.dtype }]).outputs[0]!;
}
