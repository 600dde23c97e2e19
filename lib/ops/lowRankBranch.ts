import { addNode, DTYPE_BYTES, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectThat } from '../graph/shapes.js';
import { linearOp } from './linear.js';
import { block } from './lowRank.js';
import type { StackedFactors } from './lowRankFactors.js';

/**
 * y = base + scale · H·Bᵀ with H = x·Aᵀ, where A and B are what lowRankFactors made: lowRank in two products. Several layers lie side by
 * side: layer l has the l-th of equal parts of H's columns, of B's rows and of the channels of base and y. H [n, t, layers·stack·rp] is
 * an output too, which the gradient reads. Inputs: base, x, a, b.
 */
export const lowRankBranchOp: Op = {
  name: 'lowRankBranch',
  attrs: ['scale', 'rank', 'layers'],
  overwrites: [0],
  vjp: (node, [dy], [needBase, ...needs]) => {
    const [base, x, a, b] = node.inputs as [Value, Value, Value, Value];
    const through = needBase && needs[0] ? baseGradient(base, x, dy!) : null;
    const found = branchVjp(node, { x, a, b, h: node.outputs[1]!, dy: dy!, through }, needs);
    return [needBase && !through ? dy! : null, ...found];
  },
  flops: ({ inputs: [, x, a, b] }) => {
    const [n, t, width] = x!.shape as [number, number, number];
    return 2 * n * t * (a!.shape[1]! * width + b!.shape[0]! * b!.shape[1]!);
  },
};

/**
 * dx by way of the base, where that is a frozen product of the same x: the branch adds its own to it, so that no sum of gradients is
 * left. null: the base's own rule gives it. That of linearResidual, whose residual needs dy, adds it to the branch's in turn.
 */
function baseGradient({ node }: Value, x: Value, dy: Value): Value | null {
  if (node?.op !== linearOp || node.inputs[0] !== x) return null;
  const [, ...weights] = node.inputs;
  if (weights.some((weight) => weight && weight.leaf?.kind !== 'weight')) return null;
  return linearOp.vjp!(node, [dy], [true, false, false], [])[0]!;
}

/**
 * With E = scale · dy·B, layer by layer: dx = E·A, added to `through` if that is given, dA = Eᵀ·x for each copy of A, and dB = scale ·
 * dyᵀ·H, of ΛQ's columns of H. The mask is in A and H; dA has none. Inputs: x, a, b, h, dy, through.
 */
export const lowRankBranchVjpOp: Op = {
  name: 'lowRankBranchVjp',
  attrs: ['scale', 'rank', 'layers'],
  overwrites: [5],
  flops: (node) => {
    const [x, a, b] = node.inputs;
    const [n, t, width] = x!.shape as [number, number, number];
    const [dx, dA, dB] = node.outputs;
    const products = (dx ? 1 : 0) + (dA ? 1 : 0);
    const [ofB, ofA] = [b!.shape[0]! * b!.shape[1]!, a!.shape[1]! * width];
    return 2 * n * t * ((products ? ofB : 0) + products * ofA + (dB ? b!.shape[0]! * node.attrs.rank! : 0));
  },
  // E
  scratchBytes: ({ inputs: [x, a], outputs: [dx, dA] }) => {
    const [n, t] = x!.shape as [number, number];
    return dx || dA ? block(n * t * a!.shape[1]!, DTYPE_BYTES[x!.dtype]) : 0;
  },
};

interface BranchGradient {
  x: Value;
  a: Value;
  b: Value;
  h: Value;
  dy: Value;
  through: Value | null;
}

/** `needs` for x, a and b. */
function branchVjp(
  node: Node,
  { x, a, b, h, dy, through }: BranchGradient,
  needs: readonly boolean[],
): (Value | null)[] {
  const specs: OutputSpec[] = [
    { name: 'dx', shape: x.shape, dtype: x.dtype },
    { name: 'dA', shape: a.shape, dtype: 'f32' },
    { name: 'dB', shape: [b.shape[0]!, node.attrs.rank!], dtype: 'f32' },
  ];
  const outputs = specs.map((spec, i) => (needs[i] ? spec : null));
  if (outputs.every((output) => output === null)) return [];
  return [...addNode(x.graph, lowRankBranchVjpOp, [x, a, b, h, dy, through], outputs, node.attrs).outputs];
}

/**
 * Adds low-rank branches to `base`, of factors that lowRankFactors made: the same as lowRank for each of their layers.
 * @param base [n, t, layers·out]
 * @param x [n, t, in], of the type of base and the factors
 * @param options scale of the branch, default 1
 * @returns y [n, t, layers·out]
 * @throws ShapeError
 */
export function lowRankBranch(
  base: Value,
  x: Value,
  { a, b, rank, layers }: StackedFactors,
  { scale = 1 }: { scale?: number } = {},
): Value {
  const op = 'lowRankBranch';
  expectRank(op, 'x', x, 3);
  const [n, t, width] = x.shape as [number, number, number];
  const [copies, columns] = a.shape as [number, number];
  expectShape(op, 'base', base, [n, t, b.shape[0]!]);
  expectShape(op, 'a', a, [copies, layers * b.shape[1]!, width]);
  expectThat(copies === 1 || copies === n, op, 'copies of a', `1 or ${n}`, `${copies}`, a);
  expectThat(rank * layers <= columns, op, 'rank', `at most ${columns / layers}`, `${rank}`, a);
  for (const [name, value] of Object.entries({ base, a, b })) expectDType(op, name, value, x.dtype);
  const outputs = [
    { name: 'y', shape: base.shape, dtype: base.dtype },
    { name: 'h', shape: [n, t, columns], dtype: base.dtype },
  ];
  return addNode(x.graph, lowRankBranchOp, [base, x, a, b], outputs, { scale, rank, layers }).outputs[0]!;
}
