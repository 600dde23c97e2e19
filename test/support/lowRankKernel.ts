// What every form of the low-rank branch must do: the CPU's op, and a CUDA device's two.
import { expect, it } from 'vitest';
import { createGraph, elements, input, result, type Value } from '../../lib/graph/graph.js';
import type { LowRankFactors } from '../../lib/ops/lowRank.js';
import { grad } from '../../lib/transform/grad.js';
import { checkKernel, type KernelCase } from './checkKernel.js';
import { type FactorSizes, startShapes, trainedShapes } from './lowRankShapes.js';
import { runNative } from './nativeRun.js';
import { pseudoRandom } from './pseudoRandom.js';

/** Adds the branch to base. */
export type Join = (base: Value, x: Value, factors: LowRankFactors, activeRank: Value, scale: number) => Value;

interface Sizes extends FactorSizes {
  t: number;
  /** One active rank per sample. */
  ranks: readonly number[];
}

const trained = ['x', 'up', 'down', 'lambda'] as const;

function shapes({ t, width, out, r, ranks, form }: Sizes): Record<string, number[]> {
  const n = ranks.length;
  return { base: [n, t, out], x: [n, t, width], ...trainedShapes({ width, out, r, form }) };
}

function joined(join: Join, values: Record<string, Value>, scale: number): Value {
  const { base, x, activeRank, up, down, lambda = null, up0 = null, down0 = null, lambda0 = null } = values;
  return join(base!, x!, { up: up!, down: down!, lambda, up0, down0, lambda0 }, activeRank!, scale);
}

const normal = (shape: readonly number[], seed: number): Float64Array => {
  const random = pseudoRandom(seed);
  return Float64Array.from({ length: elements(shape) }, () => Math.fround(random.normal()));
};

const cases: Sizes[] = [
  { t: 1, width: 1, out: 1, r: 1, ranks: [1], form: 'plain' },
  { t: 1, width: 1, out: 1, r: 1, ranks: [1], form: 'start' },
  { t: 5, width: 7, out: 3, r: 4, ranks: [0], form: 'start' },
  { t: 3, width: 5, out: 7, r: 3, ranks: [2, 9], form: 'start' },
  { t: 19, width: 33, out: 17, r: 5, ranks: [0, 1, 3, 5], form: 'start' },
  { t: 20, width: 64, out: 48, r: 16, ranks: [4, 0, 16, 7], form: 'diagonal' },
  { t: 64, width: 320, out: 320, r: 1, ranks: [1, 1], form: 'plain' },
  { t: 77, width: 768, out: 320, r: 33, ranks: [17], form: 'start' },
  { t: 300, width: 40, out: 72, r: 128, ranks: [100, 100, 128], form: 'start' },
];

/** y and the gradients asked for, on the engine. */
async function runBranch(
  join: Join,
  sizes: Sizes,
  data: Map<string, Float64Array>,
  wanted: readonly string[],
  threads: number,
) {
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  for (const [name, shape] of Object.entries({ ...shapes(sizes), ...startShapes(sizes) })) {
    values[name] = input(graph, name, shape);
    leaves.set(values[name], data.get(name)!);
  }
  values.activeRank = input(graph, 'activeRank', [sizes.ranks.length], 'i32');
  leaves.set(values.activeRank, Float64Array.from(sizes.ranks));
  const y = joined(join, values, 0.5);
  const seed = input(graph, 'dy', y.shape);
  leaves.set(seed, data.get('dy')!);
  const gradients = grad(
    y,
    seed,
    wanted.map((name) => values[name]!),
  );
  result(graph, 'y', y);
  for (const [i, name] of wanted.entries()) result(graph, name, gradients[i]!);
  return runNative(graph, leaves, { threads });
}

/** Standard normal values; `same`: the trained factors are the frozen start. */
function drawn(sizes: Sizes, same = false): Map<string, Float64Array> {
  const data = new Map<string, Float64Array>();
  const all = { ...shapes(sizes), ...startShapes(sizes), dy: shapes(sizes).base! };
  for (const [i, [name, shape]] of Object.entries(all).entries()) data.set(name, normal(shape, i + 1));
  if (same) for (const name of ['up', 'down', 'lambda']) data.set(name, data.get(`${name}0`)!);
  return data;
}

/** Declares the tests. `rounded`: of each case. */
export function testLowRank(join: Join, rounded?: KernelCase['rounded']): void {
  const run = (sizes: Sizes, data: Map<string, Float64Array>, wanted: readonly string[], threads: number) =>
    runBranch(join, sizes, data, wanted, threads);

  for (const sizes of cases) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)}`, () =>
      checkKernel({
        inputs: shapes(sizes),
        float32: ['up', 'down', 'lambda'],
        ...(rounded && { rounded }),
        fixed: {
          activeRank: { shape: [sizes.ranks.length], values: sizes.ranks, dtype: 'i32' },
          ...Object.fromEntries(
            Object.entries(startShapes(sizes)).map(([name, shape], i) => [
              name,
              { shape, values: [...normal(shape, 40 + i)] },
            ]),
          ),
        },
        build: (values) => joined(join, values, 0.7),
      }));
  }

  const ranked: Sizes = { t: 150, width: 48, out: 40, r: 12, ranks: [0, 1, 7, 9], form: 'start' };

  it('changes nothing, to the bit, while the trained factors are the start', async () => {
    const data = drawn(ranked, true);
    const { y, x } = Object.fromEntries(await run(ranked, data, ['x'], 2));
    expect(y).toEqual(Float32Array.from(data.get('base')!));
    expect(x!.every((value) => value === 0)).toBe(true);
  });

  it('gives exactly 0 as the gradient of components that no sample uses', async () => {
    const gradients = await run(ranked, drawn(ranked), trained, 2);
    const used = Math.max(...ranked.ranks);
    const isUsed = {
      up: (i: number) => i % 12 < used,
      down: (i: number) => i / 48 < used,
      lambda: (i: number) => i < used,
    };
    for (const [name, uses] of Object.entries(isUsed)) {
      gradients.get(name)!.forEach((value, i) => {
        expect(value === 0, `${name}[${i}] = ${value}`).toBe(!uses(i));
      });
    }
  });

  it('gives the same bits for any number of threads', async () => {
    const data = drawn(ranked);
    const one = await run(ranked, data, trained, 1);
    for (const threads of [2, 3]) expect(await run(ranked, data, trained, threads)).toEqual(one);
  });

  it('computes each gradient alone', async () => {
    const data = drawn(ranked);
    const all = await run(ranked, data, trained, 2);
    for (const name of trained) {
      const alone = (await run(ranked, data, [name], 2)).get(name)!;
      const size = Math.hypot(...all.get(name)!);
      expect(Math.hypot(...alone.map((value, i) => value - all.get(name)![i]!)) / size, name).toBeLessThan(1e-6);
    }
  });
}
