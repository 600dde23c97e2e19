import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, result, type Value } from '../../../lib/graph/graph.js';
import { linear } from '../../../lib/ops/linear.js';
import type { LowRankFactors } from '../../../lib/ops/lowRank.js';
import { lowRankBranch } from '../../../lib/ops/lowRankBranch.js';
import { lowRankFactors } from '../../../lib/ops/lowRankFactors.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel, type RoundedWithin, relativeError } from '../../support/checkKernel.js';
import { roundTo } from '../../support/halfFloat.js';
import { testLowRank } from '../../support/lowRankKernel.js';
import { type FactorSizes, startShapes, trainedShapes } from '../../support/lowRankShapes.js';
import { branchMeanings } from '../../support/meaning/lowRankBranch.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';
import { randomInputs } from '../../support/randomInputs.js';

function join(base: Value, x: Value, factors: LowRankFactors, activeRank: Value, scale: number, equalRanks = false) {
  const [stacked] = lowRankFactors([[factors]], activeRank, { dtype: x.dtype, equalRanks });
  return lowRankBranch(base, x, stacked!, { scale });
}

/** y and all gradients of three samples of rank 5 of 12. */
async function run(equalRanks: boolean): Promise<Map<string, Float32Array>> {
  const graph = createGraph();
  const { make, leaves } = randomInputs(graph, 5);
  const [base, x] = [make('base', [3, 9, 20]), make('x', [3, 9, 28])];
  const trained = { up: make('up', [20, 12]), down: make('down', [12, 28]), lambda: make('lambda', [12]) };
  const start = { up0: make('up0', [20, 12]), down0: make('down0', [12, 28]), lambda0: make('lambda0', [12]) };
  const activeRank = input(graph, 'activeRank', [3], 'i32');
  leaves.set(activeRank, Float64Array.of(5, 5, 5));
  const y = join(base, x, { ...trained, ...start }, activeRank, 0.5, equalRanks);
  result(graph, 'y', y);
  const wanted = { x, ...trained };
  grad(y, make('dy', [3, 9, 20]), Object.values(wanted)).forEach((gradient, i) => {
    result(graph, Object.keys(wanted)[i]!, gradient!);
  });
  return runNative(graph, leaves);
}

/**
 * dx and dA are products of E, which has the compute type: dA, a float32 result, is off by what rounding E once gives, and so are the
 * gradients of down and lambda, which are made of it. Of dx that shows where the parts of few values cancel.
 */
const eRounded = (of: RegExp): RoundedWithin => ({
  of,
  meanings: (compute) => branchMeanings((data) => roundTo(data, compute)),
});
const throughFactors = eRounded(/^gradient of (x|down|lambda)/);

interface GroupSizes extends FactorSizes {
  t: number;
  layers: number;
  ranks: readonly number[];
  equalRanks?: boolean;
}

/** y and all gradients of layers that read the same x, whose base is one frozen product of it. */
function checkGroup({ t, width, out, r, form, layers, ranks, equalRanks = false }: GroupSizes): Promise<void> {
  const n = ranks.length;
  const named = (shapes: Record<string, number[]>): [string, number[]][] =>
    Array.from({ length: layers }, (_, l) => l).flatMap((l) =>
      Object.entries(shapes).map(([name, shape]): [string, number[]] => [`${name} of ${l}`, shape]),
    );
  const trained = named(trainedShapes({ width, out, r, form }));
  const random = pseudoRandom(8);
  const start = named(startShapes({ width, out, r, form })).map(([name, shape]) => {
    return [
      name,
      { shape, values: Array.from({ length: elements(shape) }, () => Math.fround(random.normal())) },
    ] as const;
  });
  return checkKernel({
    inputs: { x: [n, t, width], w: [layers * out, width], ...Object.fromEntries(trained) },
    weights: { w: 'f32' },
    float32: trained.map(([name]) => name),
    rounded: throughFactors,
    fixed: { activeRank: { shape: [n], values: ranks, dtype: 'i32' }, ...Object.fromEntries(start) },
    build: ({ x, w, activeRank, ...values }) => {
      const group = Array.from({ length: layers }, (_, l): LowRankFactors => {
        const value = (name: string): Value | null => values[`${name} of ${l}`] ?? null;
        const frozen = { up0: value('up0'), down0: value('down0'), lambda0: value('lambda0') };
        return { up: value('up')!, down: value('down')!, lambda: value('lambda'), ...frozen };
      });
      const [stacked] = lowRankFactors([group], activeRank!, { dtype: x!.dtype, equalRanks });
      return lowRankBranch(linear(x!, w!, null), x!, stacked!, { scale: 0.7 });
    },
  });
}

interface GivenSizes {
  n: number;
  t: number;
  width: number;
  out: number;
  r: number;
  layers: number;
  copies: number;
}

/** y, H and all gradients, on factors that are given in the compute type, with nothing masked. */
function checkGiven({ n, t, width, out, r, layers, copies }: GivenSizes): Promise<void> {
  const stack = 2 * 8 * Math.ceil(r / 8);
  return checkKernel({
    inputs: {
      base: [n, t, layers * out],
      x: [n, t, width],
      a: [copies, layers * stack, width],
      b: [layers * out, stack],
    },
    rounded: eRounded(/^gradient of a$/),
    build: ({ base, x, a, b }) =>
      lowRankBranch(base!, x!, { a: a!, b: b!, rank: r, layers }, { scale: 0.7 }).node!.outputs as readonly Value[],
  });
}

describe.runIf(onCuda)('lowRankBranch', () => {
  testLowRank(join, throughFactors);

  it.each<GroupSizes>([
    { t: 5, width: 7, out: 3, r: 4, form: 'start', layers: 3, ranks: [2] },
    { t: 19, width: 33, out: 17, r: 5, form: 'start', layers: 3, ranks: [0, 1, 5] },
    { t: 20, width: 40, out: 24, r: 16, form: 'diagonal', layers: 2, ranks: [4, 16] },
    { t: 9, width: 24, out: 40, r: 12, form: 'plain', layers: 4, ranks: [12, 3] },
    { t: 77, width: 64, out: 64, r: 33, form: 'start', layers: 3, ranks: [17, 17], equalRanks: true },
  ])('agrees with its meaning for several layers over one product: %j', checkGroup);

  it.each<GivenSizes>([
    { n: 1, t: 5, width: 7, out: 3, r: 4, layers: 1, copies: 1 },
    { n: 3, t: 19, width: 33, out: 17, r: 5, layers: 1, copies: 3 },
    { n: 2, t: 20, width: 40, out: 24, r: 16, layers: 3, copies: 1 },
    { n: 2, t: 77, width: 64, out: 40, r: 33, layers: 2, copies: 2 },
  ])('agrees with its meaning on given factors: %j', checkGiven);

  it('gives with one copy for all samples what it gives with one for each', async () => {
    const [one, each] = [await run(true), await run(false)];
    for (const name of ['y', 'x', 'up', 'down', 'lambda'])
      expect(relativeError(one.get(name)!, each.get(name)!), name).toBeLessThan(1e-6);
  });
});
