import { describe, expect, it } from 'vitest';
import { loadAddon } from '../../../lib/addon/load.js';
import { createGraph, input, result, state, type Value } from '../../../lib/graph/graph.js';
import type { LowRankFactors } from '../../../lib/ops/lowRank.js';
import { lowRankFactors, lowRankFactorsVjp, type ScaledGroup } from '../../../lib/ops/lowRankFactors.js';
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

/** Layers that read the same input, between others that do not. */
const grouped: Layer[][] = [
  [mixed[1]!],
  [mixed[2]!, mixed[2]!, mixed[2]!],
  [mixed[3]!, mixed[3]!],
  Array.from({ length: 18 }, () => mixed[1]!), // across launches
  [mixed[4]!],
];
const alone = (layers: readonly Layer[]): Layer[][] => layers.map((layer) => [layer]);

/** The layers of each group by their numbers. */
function numbered(groups: readonly (readonly Layer[])[]): { layer: Layer; i: number }[][] {
  let i = 0;
  return groups.map((group) => group.map((layer) => ({ layer, i: i++ })));
}

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
    { name: 'of one sample', groups: alone(mixed), ranks: [5], equalRanks: false },
    { name: 'of samples with ranks of their own', groups: alone(mixed), ranks: [2, 0, 99], equalRanks: false },
    { name: 'of samples of one rank', groups: alone(mixed), ranks: [3, 3], equalRanks: true },
    { name: 'of many layers', groups: alone(many), ranks: [4, 7], equalRanks: false },
    { name: 'of groups', groups: grouped, ranks: [2, 0, 99], equalRanks: false },
    { name: 'of groups, of one rank', groups: grouped, ranks: [3, 3], equalRanks: true },
  ])('agrees with its meaning: $name', ({ groups, ranks, equalRanks }) => {
    const inputs = inputsOf(groups.flat());
    return checkKernel({
      inputs: { like: [1], ...inputs },
      float32: Object.keys(inputs),
      fixed: ranked(ranks),
      backward: false,
      build: ({ like, activeRank, ...values }) => {
        const factors = (i: number): LowRankFactors => {
          const value = (name: string): Value | null => values[`${name} of ${i}`] ?? null;
          const start = { up0: value('up0'), down0: value('down0'), lambda0: value('lambda0') };
          return { up: value('up')!, down: value('down')!, lambda: value('lambda'), ...start };
        };
        const all = numbered(groups).map((group) => group.map(({ i }) => factors(i)));
        const stacked = lowRankFactors(all, activeRank!, { dtype: like!.dtype, equalRanks });
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
    const made = lowRankFactors([[layer], [layer]], input(graph, 'activeRank', [1], 'i32'), { dtype: 'f32' });
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
    { name: 'one sample', groups: alone(mixed), ranks: [3] },
    { name: 'ranks of their own', groups: alone(mixed), ranks: [2, 0, 99] },
    { name: 'many layers', groups: alone(many), ranks: [4, 7] },
    { name: 'groups', groups: grouped, ranks: [2, 0, 99] },
  ])('agrees with its meaning: $name', ({ groups, ranks }) => {
    const gradients = groups.flatMap((group, i): [string, number[]][] => {
      const { r, width, out, form } = group[0]!;
      const rows = group.length * (form === 'start' ? 2 : 1) * 8 * Math.ceil(r / 8);
      return [
        [`dA of ${i}`, [ranks.length, rows, width]],
        [`dB of ${i}`, [group.length * out, r]],
      ];
    });
    return checkKernel({
      inputs: { ...inputsOf(groups.flat()), ...Object.fromEntries(gradients) },
      half: false,
      fixed: ranked(ranks),
      build: ({ activeRank, ...values }) => {
        const all = numbered(groups).map((group, g): ScaledGroup => {
          const ups = group.length > 1;
          const downs = !ups || g !== 2;
          return {
            layers: group.map(({ i }) => ({
              up: values[`up of ${i}`]!,
              down: values[`down of ${i}`]!,
              lambda: values[`lambda of ${i}`] ?? null,
              wanted: { up: ups && i % 5 !== 4, down: downs && i % 4 !== 2, lambda: downs && i % 4 !== 3 },
            })),
            dA: downs ? values[`dA of ${g}`]! : null,
            dB: ups ? values[`dB of ${g}`]! : null,
          };
        });
        return lowRankFactorsVjp(activeRank!, all).outputs.filter((value) => value !== null);
      },
    });
  });

  it('reads nothing of components that no sample has', async () => {
    const graph = createGraph();
    const down = input(graph, 'down', [3, 2]);
    const lambda = input(graph, 'lambda', [3]);
    const dA = input(graph, 'dA', [2, 8, 2]);
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const up = state(graph, 'params', 0, [4, 3], 'up');
    const layer = { up, down, lambda, wanted: { up: false, down: true, lambda: true } };
    const [, dDown, dLambda] = lowRankFactorsVjp(activeRank, [{ layers: [layer], dA, dB: null }]).outputs;
    result(graph, 'dDown', dDown!);
    result(graph, 'dLambda', dLambda!);
    const nan = Number.NaN;
    const results = await runNative(
      graph,
      new Map([
        [down, Float64Array.of(1, 2, 3, 4, 5, 6)],
        [lambda, Float64Array.of(2, 3, 4)],
        [dA, Float64Array.of(1, 2, 3, 4, ...Array(12).fill(nan), 5, 6, nan, Infinity, ...Array(12).fill(nan))],
        [activeRank, Float64Array.of(2, 1)],
      ]),
    );
    expect([...results.get('dDown')!]).toEqual([12, 16, 9, 12, 0, 0]);
    expect([...results.get('dLambda')!]).toEqual([22, 25, 0]);
  });
});
