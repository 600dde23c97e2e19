import { describe, expect, it } from 'vitest';
import { createGraph, type DType, elements, input, result, type Value, weight } from '../../../lib/graph/graph.js';
import { linear } from '../../../lib/ops/linear.js';
import type { LowRankFactors } from '../../../lib/ops/lowRank.js';
import { mergedLinear } from '../../../lib/ops/mergedLinear.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel } from '../../support/checkKernel.js';
import { startShapes, trainedShapes } from '../../support/lowRankShapes.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

interface Sizes {
  n: number;
  t: number;
  width: number;
  out: number;
  r: number;
  rank: number;
  form: 'plain' | 'diagonal' | 'start';
  stored: DType;
}

const shapes = ({ n, t, width, out, r, form }: Sizes): Record<string, number[]> => ({
  x: [n, t, width],
  ...trainedShapes({ width, out, r, form }),
});
const frozen = ({ width, out }: Sizes): Record<string, number[]> => ({ w: [out, width], b: [out] });

const build = ({ x, w, b, activeRank, ...factors }: Record<string, Value>): Value =>
  mergedLinear(x!, w!, b ?? null, factors as unknown as LowRankFactors, activeRank!, { scale: 0.7 });

const normal = (shape: readonly number[], seed: number): number[] => {
  const random = pseudoRandom(seed);
  return Array.from({ length: elements(shape) }, () => Math.fround(random.normal()));
};

const cases: Sizes[] = [
  { n: 1, t: 1, width: 1, out: 1, r: 1, rank: 1, form: 'plain', stored: 'f32' },
  { n: 1, t: 5, width: 7, out: 3, r: 3, rank: 0, form: 'start', stored: 'f16' },
  { n: 2, t: 19, width: 33, out: 17, r: 5, rank: 3, form: 'start', stored: 'f16' },
  { n: 1, t: 20, width: 64, out: 150, r: 16, rank: 99, form: 'diagonal', stored: 'bf16' },
  { n: 3, t: 64, width: 40, out: 72, r: 12, rank: 12, form: 'plain', stored: 'f16' },
  { n: 1, t: 300, width: 130, out: 200, r: 64, rank: 48, form: 'start', stored: 'f32' },
];

const ranked: Sizes = { n: 2, t: 90, width: 48, out: 40, r: 12, rank: 7, form: 'start', stored: 'f16' };
const trained = ['x', 'up', 'down', 'lambda'] as const;

/** y and gradients on the engine, and y of the weight alone; `same`: the trained factors are the frozen start. */
async function run(sizes: Sizes, threads: number, same = false): Promise<Map<string, Float32Array>> {
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = { w: weight(graph, 'w', frozen(sizes).w!, sizes.stored) };
  leaves.set(
    values.w!,
    Float64Array.from(normal(frozen(sizes).w!, 9), (value) => Math.round(value * 64) / 64),
  );
  const all = { ...shapes(sizes), ...startShapes(sizes), b: frozen(sizes).b! };
  for (const [i, [name, shape]] of Object.entries(all).entries()) {
    values[name] = input(graph, name, shape);
    const seed = same && Object.hasOwn(all, `${name}0`) ? Object.keys(all).indexOf(`${name}0`) : i;
    leaves.set(values[name], Float64Array.from(normal(shape, seed + 20)));
  }
  values.activeRank = input(graph, 'activeRank', [sizes.n], 'i32');
  leaves.set(values.activeRank, new Float64Array(sizes.n).fill(sizes.rank));
  const y = build(values);
  result(graph, 'y', y);
  result(graph, 'alone', linear(values.x!, values.w!, values.b!));
  const seed = input(graph, 'dy', y.shape);
  leaves.set(seed, Float64Array.from(normal(y.shape, 50)));
  grad(
    y,
    seed,
    trained.map((name) => values[name]!),
  ).forEach((gradient, i) => {
    result(graph, trained[i]!, gradient!);
  });
  return runNative(graph, leaves, { threads });
}

// For the CPU alone: lib/adapters merges nowhere else.
describe.runIf(!onCuda)('mergedLinear', () => {
  for (const sizes of cases) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)}`, () =>
      checkKernel({
        inputs: { ...shapes(sizes), ...frozen(sizes) },
        weights: { w: sizes.stored, b: 'f32' },
        fixed: {
          activeRank: { shape: [sizes.n], values: Array<number>(sizes.n).fill(sizes.rank), dtype: 'i32' },
          ...Object.fromEntries(
            Object.entries(startShapes(sizes)).map(([name, shape], i) => [
              name,
              { shape, values: normal(shape, 40 + i) },
            ]),
          ),
        },
        build,
      }));
  }

  it('changes nothing, to the bit, while the trained factors are the start', async () => {
    const { y, alone } = Object.fromEntries(await run(ranked, 2, true));
    expect(y).toEqual(alone);
  });

  it('gives exactly 0 as the gradient of masked components, and no other', async () => {
    const gradients = await run(ranked, 2);
    const isUsed = {
      up: (i: number) => i % 12 < ranked.rank,
      down: (i: number) => i / 48 < ranked.rank,
      lambda: (i: number) => i < ranked.rank,
    };
    for (const [name, uses] of Object.entries(isUsed)) {
      gradients.get(name)!.forEach((value, i) => {
        expect(value === 0, `${name}[${i}] = ${value}`).toBe(!uses(i));
      });
    }
  });

  it('gives the same bits for any number of threads', async () => {
    const one = await run(ranked, 1);
    for (const threads of [2, 3]) expect(await run(ranked, threads)).toEqual(one);
  });
});
