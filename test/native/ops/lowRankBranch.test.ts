import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, result, type Value } from '../../../lib/graph/graph.js';
import type { LowRankFactors } from '../../../lib/ops/lowRank.js';
import { lowRankBranch } from '../../../lib/ops/lowRankBranch.js';
import { lowRankFactors } from '../../../lib/ops/lowRankFactors.js';
import { grad } from '../../../lib/transform/grad.js';
import { relativeError } from '../../support/checkKernel.js';
import { roundTo } from '../../support/halfFloat.js';
import { testLowRank } from '../../support/lowRankKernel.js';
import { branchMeanings } from '../../support/meaning/lowRankBranch.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

function join(base: Value, x: Value, factors: LowRankFactors, activeRank: Value, scale: number, equalRanks = false) {
  const [stacked] = lowRankFactors([factors], activeRank, { dtype: x.dtype, equalRanks });
  return lowRankBranch(base, x, stacked!, { scale });
}

/** y and all gradients of three samples of rank 5 of 12. */
async function run(equalRanks: boolean): Promise<Map<string, Float32Array>> {
  const random = pseudoRandom(5);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const make = (name: string, shape: number[]): Value => {
    const value = input(graph, name, shape);
    leaves.set(
      value,
      Float64Array.from({ length: elements(shape) }, () => Math.fround(random.normal())),
    );
    return value;
  };
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

describe.runIf(onCuda)('lowRankBranch', () => {
  testLowRank(join, (compute) => branchMeanings((data) => roundTo(data, compute)));

  it('gives with one copy for all samples what it gives with one for each', async () => {
    const [one, each] = [await run(true), await run(false)];
    for (const name of ['y', 'x', 'up', 'down', 'lambda'])
      expect(relativeError(one.get(name)!, each.get(name)!), name).toBeLessThan(1e-6);
  });
});
