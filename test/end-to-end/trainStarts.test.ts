import { beforeAll, describe, expect, it } from 'vitest';
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { adaptedLayers, isOrthogonal } from '../../lib/adapters/adapterSpec.js';
import { attachAdapters } from '../../lib/adapters/attachAdapters.js';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { ConfigError } from '../../lib/errors.js';
import { createGraph, input, result } from '../../lib/graph/graph.js';
import { type Conditions, prepareConditions } from '../../lib/pipeline/conditions.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import { openSession, runOnce, type Session } from '../../lib/pipeline/session.js';
import { encodePrompts } from '../../lib/pipeline/textStates.js';
import { traceUnet } from '../../lib/pipeline/unetGraph.js';
import { adaptedLinearShapes, setupAdapters } from '../../lib/train/adapterSetup.js';
import { resolveTrainOptions, type TrainOptions } from '../../lib/train/options.js';
import { drawAdapters, ensureAdapterStates, specOf, startSeed } from '../../lib/train/startAdapters.js';
import { logOf, tinyTraining } from './tinyTraining.js';

const tiny = tinyTraining();

const components = ['last', 'middle', 'principal'] as const;
const starts: [string, Partial<TrainOptions>][] = [
  ['lora', { variant: 'lora' }],
  ['vanilla', { variant: 'vanilla' }],
  ['ortho, random last', { variant: 'ortho' }],
  ['ortho, weight middle', { variant: 'ortho', components: 'middle', start: 'weight' }],
  ...components.flatMap((which): [string, Partial<TrainOptions>][] => [
    [`tlora, random ${which}`, { components: which }],
    [`tlora, weight ${which}`, { components: which, start: 'weight' }],
  ]),
  ['tlora, frames of the reference', { frames: 'reference' }],
];

/** One prediction, with the adapters of the session or of the model alone. */
async function predict(
  session: Session,
  model: OpenModel,
  conditions: Conditions,
  layout: AdapterLayout | null,
): Promise<Float32Array> {
  const graph = createGraph();
  const sizes = { batch: 2, height: 8, width: 8, contextTokens: 77 };
  const sample = input(graph, 'sample', [2, 8, 8, 4]);
  const hook = layout && attachAdapters(graph, layout).hook;
  const traced = traceUnet(graph, model.unet, sizes, sample, { cached: true, ...(hook && { adapter: hook }) });
  result(graph, 'prediction', traced.prediction);
  const results = await runOnce(session, graph, [model.unet], {
    ...conditions.feeds,
    sample: Float32Array.from({ length: 2 * 8 * 8 * 4 }, (_, i) => Math.sin(i)),
    timesteps: Float32Array.of(10, 900),
    ...(layout && { activeRank: Int32Array.of(4, 2) }),
  });
  return results.get('prediction')!;
}

describe('before the first step', () => {
  let conditions: Conditions;
  let frozen: Float32Array;
  beforeAll(async () => {
    const model = openModel(tiny.model);
    const session = openSession(2);
    const text = await encodePrompts(session, model, ['a photo of sks dog', 'a dog']);
    conditions = await prepareConditions(session, model, text, []);
    frozen = await predict(session, model, conditions, null);
    session.engine.dispose();
  });

  it.each(starts)('the prediction is the model’s own, bit for bit: %s', async (_name, more) => {
    const options = resolveTrainOptions(tiny.options('none', more));
    const model = openModel(tiny.model);
    const { layout } = setupAdapters(model.unet, options);
    const session = openSession(2);
    try {
      ensureAdapterStates(session, layout, layout.orthogonal ? ['params', 'base'] : ['params']);
      await drawAdapters(session, layout, specOf(options), startSeed(options.seed), model);
      expect(session.engine.readState('params', 0, layout.flat.total).some((v) => v !== 0)).toBe(true);
      expect(await predict(session, model, conditions, layout)).toEqual(frozen);
    } finally {
      session.engine.dispose();
    }
  });
});

describe('a run', () => {
  const some = ['lora', 'vanilla', 'ortho, random last', 'tlora, weight principal', 'tlora, frames of the reference'];
  it.each(starts.filter(([name]) => some.includes(name)))('trains and saves: %s', async (name, more) => {
    const events: number[][] = [];
    const run = tiny.run(name, more).on('step', (e) => events.push([...e.activeRanks]));
    const { adapterPath, finalLoss, steps } = await run;
    expect(steps).toBe(2);
    expect(finalLoss).toBeGreaterThan(0);
    const variant = more.variant ?? 'tlora';
    const masked = variant === 'vanilla' || variant === 'tlora';
    const ranks = events.flat();
    expect(ranks.every((r) => (masked ? r >= 2 && r <= 4 : r === 4))).toBe(true);
    const file = openAdapter(adapterPath);
    expect(file.info?.spec.variant).toBe(variant);
    expect(file.layers).toEqual(
      [...adaptedLayers(adaptedLinearShapes(openModel(tiny.model).unet), 4).layers].sort((a, b) =>
        a.path < b.path ? -1 : 1,
      ),
    );
    const [layer] = file.layers;
    for (const kind of ['lora_up', 'lora_down', ...(isOrthogonal(variant) ? ['lora_lambda'] : [])]) {
      const change = file.change(`${layer!.path}.${kind}.weight`);
      expect(change.every(Number.isFinite)).toBe(true);
      expect(change.some((v) => v !== 0)).toBe(true);
    }
  });

  it('of the variant lora has no mask', async () => {
    await tiny.run('no mask', { variant: 'lora', steps: 4 });
    expect(logOf(tiny.at('no mask')).map((line) => line.activeRanks)).toEqual([[4], [4], [4], [4]]);
    await expect(tiny.run('x', { variant: 'lora', minRank: 2 })).rejects.toThrow(ConfigError);
  });

  it.each([1, 2])('with retract keeps P and Q orthonormal, with %i batches a step', async (accumulate) => {
    const out = `retract ${accumulate}`;
    const { adapterPath } = await tiny.run(out, { orthogonal: 'retract', accumulate, steps: 5 });
    const file = openAdapter(adapterPath);
    for (const { path, in: width, out: height, rank } of file.layers) {
      const value = (kind: string): Float32Array => {
        const [change, start] = [file.change(`${path}.${kind}.weight`), file.start(`${path}.${kind}.weight`)];
        return change.map((v, i) => v + start[i]!);
      };
      expect(farFromOrthonormal(value('lora_up'), rank, (i, k) => i * rank + k, height)).toBeLessThan(1e-6);
      expect(farFromOrthonormal(value('lora_down'), rank, (i, k) => k * width + i, width)).toBeLessThan(1e-6);
    }
  });

  it('without retract leaves the orthonormal frames', async () => {
    const { adapterPath } = await tiny.run('init', { steps: 5 });
    const file = openAdapter(adapterPath);
    const { path, out: height, rank } = file.layers[0]!;
    const start = file.start(`${path}.lora_up.weight`);
    const up = file.change(`${path}.lora_up.weight`).map((v, i) => v + start[i]!);
    expect(farFromOrthonormal(up, rank, (i, k) => i * rank + k, height)).toBeGreaterThan(1e-3);
  });
});

/** Largest element of |FᵀF − 1| for a frame of `rank` vectors of `length`. */
function farFromOrthonormal(
  frame: Float32Array,
  rank: number,
  at: (i: number, k: number) => number,
  length: number,
): number {
  let far = 0;
  for (let a = 0; a < rank; a++) {
    for (let b = 0; b <= a; b++) {
      let dot = 0;
      for (let i = 0; i < length; i++) dot += frame[at(i, a)]! * frame[at(i, b)]!;
      far = Math.max(far, Math.abs(dot - (a === b ? 1 : 0)));
    }
  }
  return far;
}
