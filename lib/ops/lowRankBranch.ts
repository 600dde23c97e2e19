import { addNode, DTYPE_BYTES, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectThat } from '../graph/shapes.js';
import { block } from './lowRank.js';
import type { StackedFactors } from './lowRankFactors.js';

/** Columns of a factor's blocks: a's rows, b's columns, and those of one block. */
function columnsOf(a: Value, b: Value): { stack: number; all: number; one: number } {
  const [stack, all] = [a.shape[1]!, b.shape[1]!];
  return { stack, all, one: all > stack ? all - stack : stack };
}

/**
 * y = base + scale · H·Bᵀ with H = x·Aᵀ, where A and B are what lowRankFactors made: lowRank in two products. Of B its first columns
 * are read, as many as A has rows. H [n, t, stack·rp] is an output too, which the gradient reads. Inputs: base, x, a, b.
 */
export const lowRankBranchOp: Op = {
  name: 'lowRankBranch',
  attrs: ['scale', 'rank'],
  overwrites: [0],
  vjp: (node, [dy], [needBase, ...needs]) => {
    const [, x, a, b] = node.inputs;
    return [needBase ? dy! : null, ...branchVjp(node, { x: x!, a: a!, b: b!, h: node.outputs[1]!, dy: dy! }, needs)];
  },
  flops: ({ inputs: [base, x, a] }) => {
    const [n, t, out] = base!.shape as [number, number, number];
    return 2 * n * t * a!.shape[1]! * (x!.shape[2]! + out);
  },
};

/** Columns of B, and so of E, that the wanted gradients need: those of P−P0 and P0 for dx, those of P for dA. */
function columnsOfE({ inputs: [, a, b], outputs: [dx, dA] }: Node): number {
  const { stack, all, one } = columnsOf(a!, b!);
  if (dx) return dA ? all : stack;
  return dA ? one : 0;
}

/**
 * With E = scale · dy·B: dx = E·A from all blocks of E but that of P, dA = Fᵀ·x for each copy of A, F being the block of P, and
 * dB = scale · dyᵀ·H, of ΛQ's columns of H. The mask is in A and H; dA has none. Inputs: x, a, b, h, dy.
 */
export const lowRankBranchVjpOp: Op = {
  name: 'lowRankBranchVjp',
  attrs: ['scale', 'rank'],
  flops: (node) => {
    const [x, a, , , dy] = node.inputs;
    const [n, t, width] = x!.shape as [number, number, number];
    const [out, rank] = [dy!.shape[2]!, node.attrs.rank!];
    const [dx, dA, dB] = node.outputs;
    const perToken =
      columnsOfE(node) * out + (dx ? a!.shape[1]! * width : 0) + (dA ? rank * width : 0) + (dB ? rank * out : 0);
    return 2 * n * t * perToken;
  },
  scratchBytes: (node) => {
    const [n, t] = node.inputs[0]!.shape as [number, number];
    return block(n * t * columnsOfE(node), DTYPE_BYTES[node.inputs[0]!.dtype]);
  },
};

interface BranchGradient {
  x: Value;
  a: Value;
  b: Value;
  h: Value;
  dy: Value;
}

/** `needs` for x, a and b. */
function branchVjp(node: Node, { x, a, b, h, dy }: BranchGradient, needs: readonly boolean[]): (Value | null)[] {
  const rank = node.attrs.rank!;
  const specs: OutputSpec[] = [
    { name: 'dx', shape: x.shape, dtype: x.dtype },
    { name: 'dA', shape: [a.shape[0]!, rank, a.shape[2]!], dtype: 'f32' },
    { name: 'dB', shape: [b.shape[0]!, rank], dtype: 'f32' },
  ];
  const outputs = specs.map((spec, i) => (needs[i] ? spec : null));
  if (outputs.every((output) => output === null)) return [];
  return [...addNode(x.graph, lowRankBranchVjpOp, [x, a, b, h, dy], outputs, node.attrs).outputs];
}

/**
 * Adds a low-rank branch to `base`, of factors that lowRankFactors made: the same as lowRank.
 * @param base [n, t, out]
 * @param x [n, t, in], of the type of base and the factors
 * @param options scale of the branch, default 1
 * @returns y [n, t, out]
 * @throws ShapeError
 */
export function lowRankBranch(
  base: Value,
  x: Value,
  { a, b, rank }: StackedFactors,
  { scale = 1 }: { scale?: number } = {},
): Value {
  const op = 'lowRankBranch';
  expectRank(op, 'x', x, 3);
  const [n, t, width] = x.shape as [number, number, number];
  const { stack, one } = columnsOf(a, b);
  expectShape(op, 'base', base, [n, t, b.shape[0]!]);
  expectShape(op, 'a', a, [a.shape[0]!, stack, width]);
  const copies = a.shape[0]!;
  expectThat(copies === 1 || copies === n, op, 'copies of a', `1 or ${n}`, `${copies}`, a);
  expectThat(rank <= one, op, 'rank', `at most ${one}`, `${rank}`, a);
  for (const [name, value] of Object.entries({ base, a, b })) expectDType(op, name, value, x.dtype);
  const outputs = [
    { name: 'y', shape: base.shape, dtype: base.dtype },
    { name: 'h', shape: [n, t, stack], dtype: base.dtype },
  ];
  return addNode(x.graph, lowRankBranchOp, [base, x, a, b], outputs, { scale, rank }).outputs[0]!;
}
