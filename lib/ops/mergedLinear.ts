import { ShapeError } from '../errors.js';
import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectSize } from '../graph/shapes.js';
import { block, expectFactors, type LowRankFactors, lowRankVjp } from './lowRank.js';

/**
 * y = x · Vᵀ + b, V = w + scale · ΔW: a frozen weight and the change of lowRank in one matrix, made in each call. Where i · o is
 * small beside the rows of x, that takes fewer operations than lowRank: 4 r i o and no more for x and dy.
 * Inputs: x, w, b, up, down, lambda, up0, down0, lambda0, activeRank, whose first rank holds for all samples.
 */
export const mergedLinearOp: Op = {
  name: 'mergedLinear',
  attrs: ['scale'],
  matrices: [1],
  flops: (node) => mergeFlops(node, 3) + 2 * elements(node.outputs[0]!.shape) * node.inputs[0]!.shape.at(-1)!,
  scratchBytes: (node) => mergeBytes(node, 3),
  vjp: (node, [dy], [needX, needW, needB, ...needFactors]) => {
    if (needW || needB) throw new ShapeError(`[mergedLinear] w and b are frozen (at ${node.path})`);
    const [x, w, , ...factors] = node.inputs;
    const [, ...gradients] = lowRankVjp(node, [x!, ...factors, dy!], [false, ...needFactors]);
    return [needX ? inputGradient(node, [w!, ...factors, dy!], x!) : null, null, null, ...gradients];
  },
};

/** dx = dy · V, with V made again. Inputs: w, up, down, lambda, up0, down0, lambda0, activeRank, dy. */
export const mergedLinearVjpOp: Op = {
  name: 'mergedLinearVjp',
  attrs: ['scale'],
  matrices: [0],
  flops: (node) => mergeFlops(node, 1) + 2 * elements(node.outputs[0]!.shape) * node.inputs[8]!.shape.at(-1)!,
  scratchBytes: (node) => mergeBytes(node, 1),
};

/** Of w + ΔW; `first` is the input `up`. */
function mergeFlops({ inputs }: Node, first: number): number {
  const [out, r] = inputs[first]!.shape as [number, number];
  return 2 * (inputs[first + 3] ? 2 : 1) * r * out * inputs[first + 1]!.shape[1]!;
}

/** V, ΛQ stacked on ΛQ − Λ0Q0, and P − P0 beside P0: what there is of them. */
function mergeBytes({ inputs }: Node, first: number): number {
  const [out, r] = inputs[first]!.shape as [number, number];
  const width = inputs[first + 1]!.shape[1]!;
  const stack = inputs[first + 3] ? 2 : 1;
  return (
    block(out * width) + (inputs[first + 2] ? block(stack * r * width) : 0) + (stack === 2 ? block(2 * r * out) : 0)
  );
}

function inputGradient(node: Node, inputs: readonly (Value | null)[], x: Value): Value {
  const outputs = [{ name: 'dx', shape: x.shape, dtype: x.dtype }];
  return addNode(x.graph, mergedLinearVjpOp, inputs, outputs, node.attrs).outputs[0]!;
}

/**
 * A linear layer with its low-rank branch, all samples with the same number of active components.
 * @param x [n, t, in]
 * @param w [out, in], frozen
 * @param b [out], frozen, or null
 * @param activeRank [n], i32, all equal: the first min(activeRank, r) components count
 * @param options scale of the branch, default 1
 * @returns y [n, t, out]
 * @throws ShapeError
 */
export function mergedLinear(
  x: Value,
  w: Value,
  b: Value | null,
  factors: LowRankFactors,
  activeRank: Value,
  { scale = 1 }: { scale?: number } = {},
): Value {
  const { up, down, lambda = null, up0 = null, down0 = null, lambda0 = null } = factors;
  const { n, out, width } = expectFactors('mergedLinear', x, factors, activeRank);
  expectSize('mergedLinear', 'rows of w', w, w.shape[0], out);
  expectSize('mergedLinear', 'columns of w', w, w.shape[1], width);
  if (b) expectSize('mergedLinear', 'size of b', b, elements(b.shape), out);
  const inputs = [x, w, b, up, down, lambda, up0, down0, lambda0, activeRank];
  const outputs = [{ name: 'y', shape: [n, x.shape[1]!, out], dtype: x.dtype }];
  return addNode(x.graph, mergedLinearOp, inputs, outputs, { scale }).outputs[0]!;
}
