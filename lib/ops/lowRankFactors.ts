import { addNode, type DType, elements, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectSize } from '../graph/shapes.js';
import { expectStart, type LowRankFactors } from './lowRank.js';

/**
 * The factors of one layer as lowRankBranch reads them, or of several that read the same x, one layer's rows below the other's. rp is r
 * rounded up to 8, so that rows of all operands lie on 16 bytes; the rows and columns between are zeros. stack is 2 with a start, else 1.
 */
export interface StackedFactors {
  /**
   * [copies, layers·stack·rp, in]: of each layer the rows of ΛQ and, with a start, of ΛQ − Λ0Q0, zeros from the active rank on. Its
   * gradient is f32, and not masked: rows from the active rank on may hold anything.
   */
  readonly a: Value;
  /** [layers·out, stack·rp]: the columns of P − P0 and of P0, or without a start of P. Its gradient is that of P alone, [layers·out, r] f32. */
  readonly b: Value;
  readonly rank: number;
  readonly layers: number;
}

/** Inputs of one layer: up, down, lambda, up0, down0, lambda0. */
const LAYER_INPUTS = 6;

/** r as it is stacked. */
const stackedRank = (r: number): number => 8 * Math.ceil(r / 8);

/** Sizes of groups, given what only the first layer of each has. */
function groupSizes(firsts: readonly unknown[]): number[] {
  const sizes: number[] = [];
  for (const first of firsts) {
    if (first) sizes.push(1);
    else sizes[sizes.length - 1]!++;
  }
  return sizes;
}

/**
 * The stacked factors of several groups of layers at once. Inputs: activeRank, then LAYER_INPUTS for each layer; outputs: a and b of each
 * layer, which are those of its group at the first and null at the others. Equal trained and frozen parts give exact zeros.
 */
export const lowRankFactorsOp: Op = {
  name: 'lowRankFactors',
  attrs: [],
  vjp: (node, grads, needs) => {
    const found: (Value | null)[] = node.inputs.map(() => null);
    const groups: ScaledGroup[] = [];
    const places: number[] = [];
    let layer = 0;
    for (const size of groupSizes(node.outputs.filter((_, i) => i % 2 === 0))) {
      const [dA, dB] = [grads[2 * layer] ?? null, grads[2 * layer + 1] ?? null];
      const at = Array.from({ length: size }, (_, l) => 1 + (layer + l) * LAYER_INPUTS);
      layer += size;
      if (size === 1) found[at[0]!] = dB;
      const group = scaledGroup(node, at, needs, { dA, dB: size > 1 ? dB : null });
      if (group) {
        groups.push(group);
        places.push(...at);
      }
    }
    if (groups.length === 0) return found;
    const { outputs } = lowRankFactorsVjp(node.inputs[0]!, groups);
    for (const [i, place] of places.entries()) {
      for (let k = 0; k < 3; k++) found[place + k] = outputs[3 * i + k] ?? found[place + k]!;
    }
    return found;
  },
};

function scaledGroup(
  node: Node,
  places: readonly number[],
  needs: readonly boolean[],
  { dA, dB }: Pick<ScaledGroup, 'dA' | 'dB'>,
): ScaledGroup | null {
  const layers = places.map((place) => {
    const [up, down, lambda] = node.inputs.slice(place) as [Value, Value, Value | null];
    const [needUp, needDown, needLambda] = needs.slice(place) as [boolean, boolean, boolean];
    const wanted = { up: needUp && dB !== null, down: needDown && dA !== null, lambda: needLambda && dA !== null };
    return { up, down, lambda, wanted };
  });
  const any = (name: 'up' | 'down' | 'lambda'): boolean => layers.some(({ wanted }) => wanted[name]);
  const read = { dA: any('down') || any('lambda') ? dA : null, dB: any('up') ? dB : null };
  return read.dA || read.dB ? { layers, ...read } : null;
}

/**
 * With G the gradient of ΛQ, the sum of those of a's two blocks over the samples that have the component: dDown = Λ·G, dLambda =
 * rowdot(Q, G), and dUp is the layer's part of dB. Inputs: activeRank, then down, lambda, dA and dB of each layer, where dA and dB are
 * those of its group at the first and null at the others; outputs: dUp, dDown and dLambda of each layer.
 */
export const lowRankFactorsVjpOp: Op = { name: 'lowRankFactorsVjp', attrs: [] };

/** Layers of lowRankFactorsVjp whose gradients lie in one tensor. */
export interface ScaledGroup {
  readonly layers: readonly {
    /** [out, r] */
    readonly up: Value;
    /** [r, in] */
    readonly down: Value;
    /** [r], or null: ones. */
    readonly lambda: Value | null;
    readonly wanted: { readonly up: boolean; readonly down: boolean; readonly lambda: boolean };
  }[];
  /** [copies, layers·stack·rp, in]; null only where dB is given: neither dDown nor dLambda is wanted. */
  readonly dA: Value | null;
  /** [layers·out, r]; null: no dUp is wanted. */
  readonly dB: Value | null;
}

export function lowRankFactorsVjp(activeRank: Value, groups: readonly ScaledGroup[]): Node {
  const spec = (name: string, like: Value | null, wanted: boolean): OutputSpec | null =>
    like && wanted ? { name, shape: like.shape, dtype: 'f32' } : null;
  return addNode(
    activeRank.graph,
    lowRankFactorsVjpOp,
    [
      activeRank,
      ...groups.flatMap(({ layers, dA, dB }) =>
        layers.flatMap(({ down, lambda }, i) => [down, lambda, ...(i === 0 ? [dA, dB] : [null, null])]),
      ),
    ],
    groups.flatMap(({ layers }) =>
      layers.flatMap(({ up, down, lambda, wanted }) => [
        spec('dUp', up, wanted.up),
        spec('dDown', down, wanted.down),
        spec('dLambda', lambda, wanted.lambda),
      ]),
    ),
  );
}

/**
 * Forms the factors of several layers for lowRankBranch, masked by rank: one launch for as many as 16 layers.
 * @param groups trained and frozen factors, f32, of layers that are alone or, with equal shapes, stacked
 * @param activeRank [n], i32: a layer's first min(activeRank[i], r) components are kept for sample i
 * @param dtype the type of the activations
 * @param equalRanks all samples have the rank of the first: one copy for all
 * @returns those of each group
 * @throws ShapeError
 */
export function lowRankFactors(
  groups: readonly (readonly LowRankFactors[])[],
  activeRank: Value,
  { dtype, equalRanks = false }: { dtype: DType; equalRanks?: boolean },
): StackedFactors[] {
  expectDType('lowRankFactors', 'activeRank', activeRank, 'i32');
  const copies = equalRanks ? 1 : elements(activeRank.shape);
  const specs = groups.flatMap((layers) => outputsOf(layers, copies, dtype));
  const inputs = groups.flat().flatMap(({ up, down, lambda = null, up0 = null, down0 = null, lambda0 = null }) => {
    return [up, down, lambda, up0, down0, lambda0];
  });
  const { outputs } = addNode(activeRank.graph, lowRankFactorsOp, [activeRank, ...inputs], specs);
  const made = outputs.filter((value) => value !== null);
  return groups.map((layers, i) => {
    return { a: made[2 * i]!, b: made[2 * i + 1]!, rank: layers[0]!.up.shape[1]!, layers: layers.length };
  });
}

function outputsOf(layers: readonly LowRankFactors[], copies: number, dtype: DType): (OutputSpec | null)[] {
  const { up, down, up0 } = layers[0]!;
  for (const layer of layers) expectLayer(layer, layers[0]!);
  const [out, r] = up.shape as [number, number];
  const columns = (up0 ? 2 : 1) * stackedRank(r);
  const more = layers.slice(1).flatMap(() => [null, null]);
  return [
    { name: `stacked ${down.name}`, shape: [copies, layers.length * columns, down.shape[1]!], dtype },
    { name: `stacked ${up.name}`, shape: [layers.length * out, columns], dtype },
    ...more,
  ];
}

/** Checks one layer, and that it has the shapes and the form of the first of its group. */
function expectLayer(factors: LowRankFactors, first: LowRankFactors): void {
  const op = 'lowRankFactors';
  const { up, down, lambda } = factors;
  expectRank(op, 'up', up, 2);
  expectRank(op, 'down', down, 2);
  expectSize(op, 'rows of down', down, down.shape[0], up.shape[1]!);
  if (lambda) expectShape(op, 'lambda', lambda, [up.shape[1]!]);
  expectStart(op, factors);
  expectShape(op, 'up in a group', up, first.up.shape);
  expectShape(op, 'down in a group', down, first.down.shape);
  expectSize(op, 'frozen starts in a group', up, factors.up0 ? 1 : 0, first.up0 ? 1 : 0);
}
