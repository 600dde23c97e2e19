import { addNode, elements, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectSize } from '../graph/shapes.js';
import { linearOp } from './linear.js';

/** y [..., out] = x [..., in] · wᵀ + b + residual, the sum within the product: rounded once. w and b as linear's, residual [..., out]. */
export const linearResidualOp: Op = {
  name: 'linearResidual',
  attrs: [],
  matrices: [1],
  overwrites: [3],
  addsTo: 0,
  flops: (node) => linearOp.flops!(node) + elements(node.outputs[0]!.shape),
  vjp: (node, [dy], [ofX, ofW, ofB, ofResidual], _wanted, through) => {
    const summed = ofX && through ? linearResidualVjp(node.inputs[1]!, dy!, through) : null;
    const needs = [ofX! && !summed, ofW!, ofB!];
    const [dx, dw, db] = needs.includes(true) ? linearOp.vjp!(node, [dy!], needs, []) : [];
    return [summed ?? dx ?? null, dw ?? null, db ?? null, ofResidual ? dy! : null];
  },
};

/** dx [..., in] = dy [..., out] · w + through, in one product: the rest of the gradient is linearVjp's, and dy itself. */
export const linearResidualVjpOp: Op = {
  name: 'linearResidualVjp',
  attrs: [],
  matrices: [0],
  overwrites: [2],
  flops: ({ inputs: [, dy], outputs: [dx] }) => (2 * dy!.shape.at(-1)! + 1) * elements(dx!.shape),
};

/**
 * linear and a sum in one, which only CUDA devices have.
 * @param residual [..., out], of x's type
 * @throws ShapeError
 */
export function linearResidual(x: Value, w: Value, b: Value | null, residual: Value): Value {
  const op = 'linearResidual';
  expectRank(op, 'w', w, 2);
  expectSize(op, 'last size of x', x, x.shape.at(-1), w.shape[1]!);
  if (b) expectShape(op, 'b', b, [w.shape[0]!]);
  expectShape(op, 'residual', residual, [...x.shape.slice(0, -1), w.shape[0]!]);
  expectDType(op, 'residual', residual, x.dtype);
  const { shape, dtype } = residual;
  return addNode(x.graph, linearResidualOp, [x, w, b, residual], [{ name: 'y', shape, dtype }]).outputs[0]!;
}

function linearResidualVjp(w: Value, dy: Value, through: Value): Value {
  const { shape, dtype } = through;
  return addNode(dy.graph, linearResidualVjpOp, [w, dy, through], [{ name: 'dx', shape, dtype }]).outputs[0]!;
}
