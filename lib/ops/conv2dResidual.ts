import { addNode, elements, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectShape } from '../graph/shapes.js';
import { type Conv2dOptions, conv2dOp, convolved } from './conv2d.js';

/**
 * y = conv2d(x, w, b) + residual, with residual [n, oh, ow, o], the sum within the convolution: rounded once. Not written over the
 * residual, which cuDNN may read after it has begun to write.
 */
export const conv2dResidualOp: Op = {
  name: 'conv2dResidual',
  attrs: conv2dOp.attrs,
  matrices: [1],
  flops: (node) => conv2dOp.flops!(node) + elements(node.outputs[0]!.shape),
  vjp: (node, [dy], [ofX, ofW, ofB, ofResidual], wanted) => {
    const needs = [ofX!, ofW!, ofB!];
    const found = needs.includes(true) ? conv2dOp.vjp!(node, [dy!], needs, wanted) : [null, null, null];
    return [...found, ofResidual ? dy! : null];
  },
};

/**
 * conv2d and a sum in one, which only CUDA devices have.
 * @param residual of the shape and type of the output
 * @throws ShapeError
 */
export function conv2dResidual(
  x: Value,
  w: Value,
  b: Value | null,
  residual: Value,
  options: Conv2dOptions = {},
): Value {
  const { y, attrs } = convolved('conv2dResidual', x, w, b, options);
  expectShape('conv2dResidual', 'residual', residual, y.shape);
  expectDType('conv2dResidual', 'residual', residual, x.dtype);
  return addNode(x.graph, conv2dResidualOp, [x, w, b, residual], [y], attrs).outputs[0]!;
}
