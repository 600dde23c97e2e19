import { addNode, type DType, type Op, type Value } from '../graph/graph.js';
import { expectDType } from '../graph/shapes.js';

/** y = x in another float type, rounded to nearest even. */
export const castOp: Op = {
  name: 'cast',
  attrs: [],
  vjp: (node, [dy]) => [cast(dy!, node.inputs[0]!.dtype)],
};

/** `x` itself where it has the type already. */
export function cast(x: Value, dtype: DType): Value {
  expectDType('cast', 'x', x, 'f32', 'f16', 'bf16');
  if (x.dtype === dtype) return x;
  return addNode(x.graph, castOp, [x], [{ name: 'y', shape: x.shape, dtype }]).outputs[0]!;
}
