import { describe, expect, it } from 'vitest';
import { loadAddon } from '../../../lib/addon/load.js';
import { createGraph, input, result, type Value } from '../../../lib/graph/graph.js';
import { lowRankFactors, lowRankFactorsVjp } from '../../../lib/ops/lowRankFactors.js';
import { encodePlan } from '../../../lib/plan/encode.js';
import { makePlan } from '../../../lib/plan/makePlan.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative, testDevice, testTarget } from '../../support/nativeRun.js';

interface Layer {
  width: number;
  out: number;
  r: number;
  form: 'plain' | 'diagonal' | 'start';
}

const mixed: Layer[] = [
  { width: 1, out: 1, r: 1, form: 'plain' },
  { width: 7, out: 3, r: 4, form: 'start' },
  { width: 24, out: 40, r: 16, form: 'start' },
  { width: 33, out: 17, r: 5, form: 'diagonal' },
  { width: 320, out: 64, r: 12, form: 'start' },
];
/** More than one launch takes. */
const many: Layer[] = Array.from({ length: 35 }, (_, i) => ({
  width: 8 + i,
  out: 3 + (i % 5),
  r: 1 + (i % 9),
  form: 'start',
}));

const shapesOf = ({ width, out, r, form }: Layer): Record<string, number[]> => ({
  up: [out, r],
  down: [r, width],
  ...(form === 'plain' ? {} : { lambda: [r] }),
  ...(form === 'start' ? { up0: [out, r], down0: [r, width], lambda0: [r] } : {}),
});

const inputsOf = (layers: readonly Layer[], more: (layer: Layer) => Record<string, number[]> = () => ({})) =>
  Object.fromEntries(
    layers.flatMap((layer, i) =>
      Object.entries({ ...shapesOf(layer), ...more(layer) }).map(([name, shape]) => [`${name} of ${i}`, shape]),
    ),
  );

const ranked = (ranks: readonly number[]) => ({
  activeRank: { shape: [ranks.length], values: ranks, dtype: 'i32' as const },
});

describe.runIf(onCuda)('lowRankFactors', () => {
  it.each([
    { name: 'of one sample', layers: mixed, ranks: [5], equalRanks: false },
    { name: 'of samples with ranks of their own', layers: mixed, ranks: [2, 0, 99], equalRanks: false },
    { name: 'of samples of one rank', layers: mixed, ranks: [3, 3], equalRanks: true },
    { name: 'of many layers', layers: many, ranks: [4, 7], equalRanks: false },
  ])('agrees with its meaning: $name', ({ layers, ranks, equalRanks }) => {
    const inputs = inputsOf(layers);
    return checkKernel({
      inputs: { like: [1], ...inputs },
      float32: Object.keys(inputs),
      fixed: ranked(ranks),
      backward: false,
      build: ({ like, activeRank, ...values }) => {
        const factors = layers.map((_, i) => {
          const value = (name: string): Value | null => values[`${name} of ${i}`] ?? null;
          const start = { up0: value('up0'), down0: value('down0'), lambda0: value('lambda0') };
          return { up: value('up')!, down: value('down')!, lambda: value('lambda'), ...start };
        });
        const stacked = lowRankFactors(factors, activeRank!, { dtype: like!.dtype, equalRanks });
        return stacked.flatMap(({ a, b }) => [a, b]);
      },
    });
  });
});

describe.runIf(onCuda)('a plan with lowRankFactors', () => {
  it.each([
    ['less than a layer', { inputs: 12, outputs: 4 }, 'expected 7 inputs, got 12'],
    ['outputs of fewer layers', { inputs: 13, outputs: 2 }, 'expected 4 outputs, got 2'],
  ])('is refused for %s', (_name, { inputs, outputs }, message) => {
    const graph = createGraph();
    const layer = { up: input(graph, 'up', [3, 2]), down: input(graph, 'down', [2, 4]) };
    const made = lowRankFactors([layer, layer], input(graph, 'activeRank', [1], 'i32'), { dtype: 'f32' });
    for (const [i, { a }] of made.entries()) result(graph, `${i}`, a);
    const plan = makePlan(graph, testTarget(1));
    const call = plan.calls[0]!;
    plan.calls[0] = { ...call, inputs: call.inputs.slice(0, inputs), outputs: call.outputs.slice(0, outputs) };
    const engine = loadAddon().createEngine({ threads: 1, device: testDevice() });
    try {
      expect(() => engine.load(encodePlan(plan))).toThrow(`[lowRankFactors] ${message} (at the top level)`);
    } finally {
      engine.dispose();
    }
  });
});

describe.runIf(onCuda)('lowRankFactorsVjp', () => {
  it.each([
    { name: 'one sample', layers: mixed, ranks: [3] },
    { name: 'ranks of their own', layers: mixed, ranks: [2, 0, 99] },
    { name: 'many layers', layers: many, ranks: [4, 7] },
  ])('agrees with its meaning: $name', ({ layers, ranks }) => {
    const inputs = inputsOf(layers, ({ r, width }) => ({ g: [ranks.length, r, width] }));
    return checkKernel({
      inputs,
      half: false,
      fixed: ranked(ranks),
      build: ({ activeRank, ...values }) => {
        const node = lowRankFactorsVjp(
          activeRank!,
          layers.map((_, i) => ({
            down: values[`down of ${i}`]!,
            lambda: values[`lambda of ${i}`] ?? null,
            g: values[`g of ${i}`]!,
            wanted: { down: i % 4 !== 2, lambda: i % 4 !== 3 },
          })),
        );
        return node.outputs.filter((value) => value !== null);
      },
    });
  });

  it('reads nothing of components that no sample has', async () => {
    const graph = createGraph();
    const down = input(graph, 'down', [3, 2]);
    const lambda = input(graph, 'lambda', [3]);
    const g = input(graph, 'g', [2, 3, 2]);
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const wanted = { down: true, lambda: true };
    const [dDown, dLambda] = lowRankFactorsVjp(activeRank, [{ down, lambda, g, wanted }]).outputs;
    result(graph, 'dDown', dDown!);
    result(graph, 'dLambda', dLambda!);
    const nan = Number.NaN;
    const results = await runNative(
      graph,
      new Map([
        [down, Float64Array.of(1, 2, 3, 4, 5, 6)],
        [lambda, Float64Array.of(2, 3, 4)],
        [g, Float64Array.of(1, 2, 3, 4, nan, nan, 5, 6, nan, Infinity, nan, nan)],
        [activeRank, Float64Array.of(2, 1)],
      ]),
    );
    expect([...results.get('dDown')!]).toEqual([12, 16, 9, 12, 0, 0]);
    expect([...results.get('dLambda')!]).toEqual([22, 25, 0]);
  });
});
