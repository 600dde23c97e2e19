import { addNode, type DType, elements, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectSize } from '../graph/shapes.js';
import { expectStart, type LowRankFactors } from './lowRank.js';

/**
 * The factors of one layer as lowRankBranch reads them. rp is r rounded up to 8, so that rows of all operands lie on 16 bytes; the rows
 * and columns between are zeros.
 */
export interface StackedFactors {
  /**
   * [copies, stack·rp, in]: the rows of ΛQ and, with a start, of ΛQ − Λ0Q0, zeros from the active rank on. Its gradient is that of ΛQ
   * alone, [copies, r, in] f32, in which rows from the active rank on may hold anything.
   */
  readonly a: Value;
  /** [out, blocks·rp]: the columns of P − P0, of P0 and of P, or without a start of P. Its gradient is that of P alone, [out, r] f32. */
  readonly b: Value;
  readonly rank: number;
}

/** Inputs of one layer: up, down, lambda, up0, down0, lambda0. */
const LAYER_INPUTS = 6;

/** r as it is stacked. */
const stackedRank = (r: number): number => 8 * Math.ceil(r / 8);

/**
 * The stacked factors of several layers at once. Inputs: activeRank, then LAYER_INPUTS for each layer; outputs: a and b of each layer.
 * Equal trained and frozen parts give exact zeros.
 */
export const lowRankFactorsOp: Op = {
  name: 'lowRankFactors',
  attrs: [],
  vjp: (node, grads, needs) => {
    const found: (Value | null)[] = node.inputs.map(() => null);
    const scaled: { first: number; layer: ScaledLayer }[] = [];
    for (let first = 1; first < node.inputs.length; first += LAYER_INPUTS) {
      const output = (2 * (first - 1)) / LAYER_INPUTS;
      const [g, dUp] = [grads[output], grads[output + 1]];
      found[first] = dUp ?? null;
      const [, down, lambda] = node.inputs.slice(first);
      const wanted = { down: needs[first + 1] === true, lambda: needs[first + 2] === true };
      if (g && (wanted.down || wanted.lambda))
        scaled.push({ first, layer: { down: down!, lambda: lambda!, g, wanted } });
    }
    if (scaled.length === 0) return found;
    const { outputs } = lowRankFactorsVjp(
      node.inputs[0]!,
      scaled.map(({ layer }) => layer),
    );
    for (const [i, { first }] of scaled.entries()) found.splice(first + 1, 2, outputs[2 * i]!, outputs[2 * i + 1]!);
    return found;
  },
};

/**
 * With G the gradient of ΛQ, summed over the samples that have the component: dDown = Λ·G, dLambda = rowdot(Q, G).
 * Inputs: activeRank, then down, lambda and G of each layer; outputs: dDown and dLambda of each layer.
 */
export const lowRankFactorsVjpOp: Op = { name: 'lowRankFactorsVjp', attrs: [] };

/** A layer of lowRankFactorsVjp. */
export interface ScaledLayer {
  /** [r, in] */
  down: Value;
  /** [r], or null: ones. */
  lambda: Value | null;
  /** [copies, r, in] */
  g: Value;
  wanted: { down: boolean; lambda: boolean };
}

export function lowRankFactorsVjp(activeRank: Value, layers: readonly ScaledLayer[]): Node {
  const spec = (name: string, like: Value | null, wanted: boolean): OutputSpec | null =>
    like && wanted ? { name, shape: like.shape, dtype: 'f32' } : null;
  return addNode(
    activeRank.graph,
    lowRankFactorsVjpOp,
    [activeRank, ...layers.flatMap(({ down, lambda, g }) => [down, lambda, g])],
    layers.flatMap(({ down, lambda, wanted }) => [
      spec('dDown', down, wanted.down),
      spec('dLambda', lambda, wanted.lambda),
    ]),
  );
}

/**
 * Forms the factors of several layers for lowRankBranch, masked by rank: one launch for as many as 16 layers.
 * @param layers trained and frozen factors of each, f32
 * @param activeRank [n], i32: a layer's first min(activeRank[i], r) components are kept for sample i
 * @param dtype the type of the activations
 * @param equalRanks all samples have the rank of the first: one copy for all
 * @throws ShapeError
 */
export function lowRankFactors(
  layers: readonly LowRankFactors[],
  activeRank: Value,
  { dtype, equalRanks = false }: { dtype: DType; equalRanks?: boolean },
): StackedFactors[] {
  expectDType('lowRankFactors', 'activeRank', activeRank, 'i32');
  const copies = equalRanks ? 1 : elements(activeRank.shape);
  const specs = layers.flatMap((layer) => outputsOf(layer, copies, dtype));
  const inputs = layers.flatMap(({ up, down, lambda = null, up0 = null, down0 = null, lambda0 = null }) => {
    return [up, down, lambda, up0, down0, lambda0];
  });
  const { outputs } = addNode(activeRank.graph, lowRankFactorsOp, [activeRank, ...inputs], specs);
  return layers.map(({ up }, i) => ({ a: outputs[2 * i]!, b: outputs[2 * i + 1]!, rank: up.shape[1]! }));
}

function outputsOf(factors: LowRankFactors, copies: number, dtype: DType): OutputSpec[] {
  const op = 'lowRankFactors';
  const { up, down, lambda, up0 } = factors;
  expectRank(op, 'up', up, 2);
  expectRank(op, 'down', down, 2);
  const [out, r] = up.shape as [number, number];
  const width = down.shape[1]!;
  expectSize(op, 'rows of down', down, down.shape[0], r);
  if (lambda) expectShape(op, 'lambda', lambda, [r]);
  expectStart(op, factors);
  const rp = stackedRank(r);
  return [
    { name: `stacked ${down.name}`, shape: [copies, (up0 ? 2 : 1) * rp, width], dtype },
    { name: `stacked ${up.name}`, shape: [out, (up0 ? 3 : 1) * rp], dtype },
  ];
}
