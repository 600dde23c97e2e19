import { addNode, elements, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectSize, expectThat } from '../graph/shapes.js';

/** Factors of an adapter: P = up, Q = down, Λ = lambda, and the frozen start P0, Q0, Λ0 that it subtracts. */
export interface LowRankFactors {
  /** [out, r] */
  up: Value;
  /** [r, in] */
  down: Value;
  /** [r]; absent: ones. */
  lambda?: Value | null;
  /** [out, r]; up0, down0 and lambda0 come together, with lambda, or not at all (plain LoRA). */
  up0?: Value | null;
  /** [r, in] */
  down0?: Value | null;
  /** [r] */
  lambda0?: Value | null;
}

export interface Sizes {
  n: number;
  tokens: number;
  out: number;
  width: number;
  r: number;
  /** Rows of the stacked factors for each component: 2 with a frozen start, 1 without. */
  stack: number;
}

function sizesOf(x: Value, up: Value, start: Value | null): Sizes {
  const [n, t, width] = x.shape as [number, number, number];
  const [out, r] = up.shape as [number, number];
  return { n, tokens: n * t, out, width, r, stack: start ? 2 : 1 };
}

/** The size of a block of scratch, rounded up to a cache line; float32 if nothing is said. */
export const block = (count: number, elementBytes = 4): number => 64 * Math.ceil((elementBytes * count) / 64);

/**
 * y = base + scale · (up·M·Λ·down·x − up0·M·Λ0·down0·x), evaluated as ΔW = (P−P0)·M·ΛQ + P0·M·(ΛQ−Λ0Q0), which is exactly 0 at
 * the start. M keeps the first activeRank[i] components of sample i. Inputs: base, x, up, down, lambda, up0, down0, lambda0, activeRank.
 * The CPU's; on a CUDA device it is lowRankFactors and lowRankBranch.
 */
export const lowRankOp: Op = {
  name: 'lowRank',
  attrs: ['scale'],
  overwrites: [0],
  vjp: (node, [dy], needs) => {
    const [, x, ...factors] = node.inputs;
    const [needBase, ...rest] = needs;
    return [needBase ? dy! : null, ...lowRankVjp(node, [x!, ...factors, dy!], rest)];
  },
  flops: (node) => {
    const { tokens, out, width, r, stack } = sizesOf(node.inputs[1]!, node.inputs[2]!, node.inputs[5]!);
    return 2 * tokens * stack * r * (width + out);
  },
  scratchBytes: (node) => {
    const { tokens, out, width, r, stack } = sizesOf(node.inputs[1]!, node.inputs[2]!, node.inputs[5]!);
    const stacked = stack === 2 ? block(2 * r * width) + block(2 * r * out) : 0; // sA, sB
    return stacked + block(tokens * stack * r); // h = x·sAᵀ
  },
};

/**
 * With E = scale·[dy·(P−P0), dy·P0], G = (E·[1 1])ᵀ·x = scale·(Pᵀ·dy)·xᵀ and H = x·(ΛQ)ᵀ, all behind the mask:
 * dx = E·[ΛQ ; ΛQ−Λ0Q0], dUp = scale·dyᵀ·H, dDown = Λ·G, dLambda = rowdot(Q, G). The start gets no gradient.
 * Inputs: x, up, down, lambda, up0, down0, lambda0, activeRank, dy.
 */
export const lowRankVjpOp: Op = {
  name: 'lowRankVjp',
  attrs: ['scale'],
  flops: (node) => {
    const { tokens, out, width, r, stack } = sizesOf(node.inputs[0]!, node.inputs[1]!, node.inputs[4]!);
    const [dx, dUp, dDown, dLambda] = node.outputs;
    const perComponent =
      (dx || dDown || dLambda ? stack * out : 0) +
      (dx ? stack * width : 0) +
      (dUp ? width + out : 0) +
      (dDown || dLambda ? width : 0);
    return 2 * tokens * r * perComponent;
  },
  // What the wanted gradients need of the stacked factors sA and sB, E, F = E's pairs summed, H and G, in this order.
  scratchBytes: (node) => {
    const { tokens, out, width, r, stack } = sizesOf(node.inputs[0]!, node.inputs[1]!, node.inputs[4]!);
    const [dx, dUp, dDown, dLambda] = node.outputs;
    const counts = [
      dx && node.inputs[3] ? stack * r * width : 0,
      dx && stack === 2 ? 2 * r * out : 0,
      dx ? tokens * stack * r : 0,
      (dDown || dLambda) && (stack === 2 || !dx) ? tokens * r : 0,
      dUp ? tokens * r : 0,
      dLambda && !dDown ? r * width : 0,
    ];
    return counts.reduce((sum, count) => sum + block(count), 0);
  },
};

/**
 * Adds a low-rank branch to `base`, masked per sample.
 * @param base [n, t, out]
 * @param x [n, t, in]
 * @param activeRank [n], i32: sample i uses the first min(activeRank[i], r) components; 0 gives base
 * @param options scale of the branch, default 1
 * @returns y [n, t, out]
 * @throws ShapeError
 */
export function lowRank(
  base: Value,
  x: Value,
  factors: LowRankFactors,
  activeRank: Value,
  { scale = 1 }: { scale?: number } = {},
): Value {
  const { up, down, lambda = null, up0 = null, down0 = null, lambda0 = null } = factors;
  const { n, out } = expectFactors('lowRank', x, factors, activeRank);
  expectShape('lowRank', 'base', base, [n, x.shape[1]!, out]);
  const inputs = [base, x, up, down, lambda, up0, down0, lambda0, activeRank];
  return addNode(base.graph, lowRankOp, inputs, [{ name: 'y', shape: base.shape, dtype: base.dtype }], { scale })
    .outputs[0]!;
}

/** Checks x and all that belongs to the branch, for `op`. @throws ShapeError */
export function expectFactors(op: string, x: Value, factors: LowRankFactors, activeRank: Value): Sizes {
  const { up, down, lambda, up0 = null } = factors;
  expectRank(op, 'x', x, 3);
  expectRank(op, 'up', up, 2);
  const sizes = sizesOf(x, up, up0);
  expectShape(op, 'down', down, [sizes.r, sizes.width]);
  if (lambda) expectShape(op, 'lambda', lambda, [sizes.r]);
  expectStart(op, factors);
  expectSize(op, 'size of activeRank', activeRank, elements(activeRank.shape), sizes.n);
  expectDType(op, 'activeRank', activeRank, 'i32');
  return sizes;
}

/** Checks that the frozen start is whole, or absent. @throws ShapeError */
export function expectStart(op: string, { up, down, lambda, up0, down0, lambda0 }: LowRankFactors): void {
  const given = Object.entries({ up0, down0, lambda0 }).flatMap(([name, value]) => (value ? [name] : []));
  if (given.length === 0) return;
  const together = given.length === 3 && Boolean(lambda);
  const got = [...(lambda ? ['lambda'] : []), ...given].join(', ');
  expectThat(together, op, 'frozen start', 'lambda, up0, down0, lambda0 together', got, up);
  expectShape(op, 'up0', up0!, up.shape);
  expectShape(op, 'down0', down0!, down.shape);
  expectShape(op, 'lambda0', lambda0!, [up.shape[1]!]);
}

/** `inputs` as in lowRankVjpOp; `needs` for x, up, down, lambda and, never met, for what is frozen. */
export function lowRankVjp(node: Node, inputs: readonly (Value | null)[], needs: readonly boolean[]): (Value | null)[] {
  const [x, up, down, lambda] = inputs;
  const spec = (
    i: number,
    name: string,
    value: Value | null | undefined,
    dtype: 'f32' | Value['dtype'],
  ): OutputSpec | null => (needs[i] && value ? { name, shape: value.shape, dtype } : null);
  const outputs = [
    spec(0, 'dx', x, x!.dtype),
    spec(1, 'dUp', up, 'f32'),
    spec(2, 'dDown', down, 'f32'),
    spec(3, 'dLambda', lambda, 'f32'),
  ];
  if (outputs.every((output) => output === null)) return [];
  return [...addNode(x!.graph, lowRankVjpOp, inputs, outputs, node.attrs).outputs];
}
