import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape } from '../graph/shapes.js';

/** out = x + y · z, elementwise. */
export const multiplyAddOp: Op = {
  name: 'multiplyAdd',
  attrs: [],
  overwrites: [0, 1, 2],
  vjp: (node, [grad], [needX, needY, needZ]) => [
    needX ? grad! : null,
    ...(needY || needZ ? multiplyAddVjp(node, grad!, needY!, needZ!) : [null, null]),
  ],
};

/** dy = grad · z; dz = grad · y. y is absent unless dz is wanted, z unless dy is. */
export const multiplyAddVjpOp: Op = { name: 'multiplyAddVjp', attrs: [] };

export function multiplyAdd(x: Value, y: Value, z: Value): Value {
  expectShape('multiplyAdd', 'y', y, x.shape);
  expectShape('multiplyAdd', 'z', z, x.shape);
  return addNode(x.graph, multiplyAddOp, [x, y, z], [{ name: 'out', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}

function multiplyAddVjp(node: Node, grad: Value, needY: boolean, needZ: boolean): (Value | null)[] {
  const [, y, z] = node.inputs as [Value, Value, Value];
  const made = addNode(
    grad.graph,
    multiplyAddVjpOp,
    [needZ ? y : null, needY ? z : null, grad],
    [
      needY ? { name: 'dy', shape: y.shape, dtype: grad.dtype } : null,
      needZ ? { name: 'dz', shape: z.shape, dtype: grad.dtype } : null,
    ],
  );
  return [...made.outputs];
}
