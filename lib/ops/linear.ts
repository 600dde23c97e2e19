import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectShape, expectSize } from '../graph/shapes.js';

/** y [..., out] = x [..., in] · wᵀ + b, with w [out, in] and b [out] or absent. Sums in float32. */
export const linearOp: Op = {
  name: 'linear',
  attrs: [],
  matrices: [1],
  flops: (node) => 2 * elements(node.outputs[0]!.shape) * node.inputs[0]!.shape.at(-1)!,
  vjp: (node, [dy], [needX, needW, needB]) => {
    const [x, w] = node.inputs;
    return linearVjp(x!, w!, dy!, needX!, needW!, needB!);
  },
};

/** dx = dy · w; dw = dyᵀ · x; db = sum of dy over rows. x is absent unless dw is wanted; what is not wanted is null. */
export const linearVjpOp: Op = {
  name: 'linearVjp',
  attrs: [],
  matrices: [1],
  flops: (node) => {
    const products = (node.outputs[0] ? 1 : 0) + (node.outputs[1] ? 1 : 0);
    return 2 * products * elements(node.inputs[2]!.shape) * node.inputs[1]!.shape[1]!;
  },
};

export function linear(x: Value, w: Value, b: Value | null): Value {
  expectRank('linear', 'w', w, 2);
  const [out, width] = w.shape as [number, number];
  expectSize('linear', 'last size of x', x, x.shape.at(-1), width);
  if (b) expectShape('linear', 'b', b, [out]);
  const shape = [...x.shape.slice(0, -1), out];
  return addNode(x.graph, linearOp, [x, w, b], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}

function linearVjp(x: Value, w: Value, dy: Value, needX: boolean, needW: boolean, needB: boolean): (Value | null)[] {
  const node: Node = addNode(
    dy.graph,
    linearVjpOp,
    [needW ? x : null, w, dy],
    [
      needX ? { name: 'dx', shape: x.shape, dtype: dy.dtype } : null,
      needW ? { name: 'dw', shape: w.shape, dtype: 'f32' } : null,
      needB ? { name: 'db', shape: [w.shape[0]!], dtype: 'f32' } : null,
    ],
  );
  return [...node.outputs];
}
