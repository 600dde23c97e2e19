// Steps that the engine judges and notes down itself, as a queue on CUDA needs it; here on the CPU, where the host can see each.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import { NonFiniteError } from '../../lib/errors.js';
import { type Conditions, prepareConditions, selectConditions } from '../../lib/pipeline/conditions.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import { type Feeds, openSession, type Session } from '../../lib/pipeline/session.js';
import { encodePrompts } from '../../lib/pipeline/textStates.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { drawStep } from '../../lib/train/draws.js';
import { adaptersOf } from '../../lib/train/forecast.js';
import { drawAdapters, ensureAdapterStates } from '../../lib/train/startAdapters.js';
import type { StepRecording } from '../../lib/train/stepGraph.js';
import { createTrainer, type Trainer } from '../../lib/train/trainer.js';
import { tinyTraining } from './tinyTraining.js';

const tiny = tinyTraining();
const LATENT = 8;
const SPEC = { variant: 'tlora', rank: 4, start: DEFAULT_START, orthogonal: 'init' } as const;

let session: Session;
let model: OpenModel;
let layout: AdapterLayout;
let conditions: Conditions;
beforeEach(async () => {
  session = openSession(2);
  model = openModel(tiny.model);
  layout = setupAdapters(model.unet, SPEC).layout;
  const text = await encodePrompts(session, model, ['a photo of sks dog']);
  conditions = await prepareConditions(session, model, text, []);
});
afterEach(() => session.engine.dispose());

interface Wish {
  readonly batch?: number;
  readonly accumulate?: number;
  readonly growthInterval?: number;
  readonly recorded?: boolean;
  readonly learningRate?: number;
}

/** A trainer at the start of the adapters, and the inputs of its steps. */
async function trainerOf(wish: Wish = {}): Promise<{ trainer: Trainer; feeds: (step: number) => Feeds[] }> {
  const { batch = 1, accumulate = 1, growthInterval = 0, recorded = true, learningRate = 1e-2 } = wish;
  const names = ['params', 'base', 'grads', 'm', 'v'];
  ensureAdapterStates(session, layout, names);
  for (const name of names) session.engine.writeState(name, 0, new Float32Array(layout.flat.total));
  await drawAdapters(session, layout, SPEC, 3, model);
  const record: StepRecording = { growthInterval, rows: 8, samples: batch * accumulate };
  const trainer = await createTrainer(session, {
    unet: model.unet,
    sizes: { batch, height: LATENT, width: LATENT, contextTokens: 77 },
    adapters: adaptersOf(layout, false),
    draws: 'drawn',
    accumulate,
    optimizer: { learningRate, weightDecay: 1e-2 },
    record: recorded ? record : undefined,
  });
  const noise = noiseSchedule(model.scheduler);
  const ranks = { T: noise.trainTimesteps, maxRank: 4, minRank: 2, alpha: 1 };
  const size = batch * LATENT * LATENT * 4;
  const latents = { latentMean: new Float32Array(size).fill(0.5), latentStd: new Float32Array(size).fill(1) };
  const same = { ...latents, ...selectConditions(conditions, Array(batch).fill(0)).feeds };
  const run = { seed: 1, batch, accumulate, pictures: 1 };
  const feeds = (step: number): Feeds[] =>
    drawStep(run, noise, ranks, true, step).map((drawn) => ({ ...drawn.feeds, ...same }));
  return { trainer, feeds };
}

const params = (): Float32Array => session.engine.readState('params', 0, layout.flat.total);

describe.each([
  { batch: 1, accumulate: 1 },
  { batch: 2, accumulate: 1 },
  { batch: 1, accumulate: 3 },
  { batch: 2, accumulate: 2 },
])('steps of $accumulate batches of $batch', (sizes) => {
  it('give the same values and losses when they are queued', async () => {
    const one = await trainerOf({ ...sizes, recorded: false });
    const answers = [];
    for (let step = 1; step <= 4; step++) answers.push(await one.trainer.step(step, one.feeds(step)));
    expect(one.trainer.queue).toBeNull();
    const expected = params();
    one.trainer.dispose();
    const { trainer, feeds } = await trainerOf(sizes);
    for (let step = 1; step <= 4; step++) await trainer.queue!.push(step, feeds(step), step === 4);
    const { steps, failed } = trainer.queue!.take();
    expect(failed).toBeNull();
    expect(params()).toEqual(expected);
    const several = sizes.batch * sizes.accumulate > 1;
    for (const [i, { loss, norm, perSample }] of answers.entries()) {
      expect(steps[i]!.loss).toBeCloseTo(loss, 6);
      expect(steps[i]).toMatchObject({ norm, scale: 1, skipped: false, losses: several ? perSample : [] });
    }
    expect(steps).toHaveLength(4);
    trainer.dispose();
  });

  it('give the same values with a scaled loss, whose powers of two round nothing', async () => {
    const plain = await trainerOf(sizes);
    for (let step = 1; step <= 4; step++) await plain.trainer.queue!.push(step, plain.feeds(step), true);
    const expected = params();
    plain.trainer.dispose();
    const { trainer, feeds } = await trainerOf({ ...sizes, growthInterval: 2 });
    for (let step = 1; step <= 4; step++) await trainer.queue!.push(step, feeds(step), true);
    expect(params()).toEqual(expected);
    expect(trainer.queue!.take().steps.map(({ scale }) => scale)).toEqual([65536, 65536, 131072, 131072]);
    expect(trainer.queue!.lossScale()).toEqual({ scale: 262144, good: 0, applied: 4 });
    trainer.dispose();
  });
});

describe('a step that is not finite', () => {
  it('is skipped with all that follow, and its repetition names the op', async () => {
    const { trainer, feeds } = await trainerOf();
    const bad = (step: number): Feeds[] => feeds(step).map((f) => ({ ...f, signal: Float32Array.of(Number.NaN) }));
    await trainer.queue!.push(1, feeds(1), false);
    await trainer.queue!.push(2, bad(2), true);
    const before = params();
    await trainer.queue!.push(3, feeds(3), true);
    expect(params()).toEqual(before);
    const { steps, failed } = trainer.queue!.take();
    expect(failed).toBe(1);
    expect(steps.map(({ skipped }) => skipped)).toEqual([false, true, true]);
    trainer.queue!.reset(null, 1);
    await expect(trainer.step(2, bad(2), true)).rejects.toThrow(NonFiniteError);
    await expect(trainer.step(2, bad(2), true)).rejects.toThrow('mixPerSample');
    await trainer.queue!.push(2, feeds(2), true);
    expect(trainer.queue!.take()).toMatchObject({ failed: null, steps: [{ skipped: false }] });
    expect(params()).not.toEqual(before);
    trainer.dispose();
  });

  it('halves the scale and is left out, where only the gradient is too large', async () => {
    const { trainer, feeds } = await trainerOf({ growthInterval: 100 });
    trainer.queue!.reset({ scale: 2 ** 127, good: 7, applied: 0 }, 0);
    const before = params();
    const far = (step: number): Feeds[] => feeds(step).map((f) => ({ ...f, targetSignal: Float32Array.of(1e3) }));
    for (let step = 1; step <= 8; step++) await trainer.queue!.push(step, far(step), true);
    const { steps, failed } = trainer.queue!.take();
    expect(failed).toBeNull();
    const skipped = steps.filter((step) => step.skipped);
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.map(({ scale }) => scale)).toEqual(skipped.map((_, i) => 2 ** (127 - i)));
    expect(steps.at(-1)).toMatchObject({ skipped: false, scale: 2 ** (127 - skipped.length) });
    const applied = 8 - skipped.length;
    expect(trainer.queue!.lossScale()).toEqual({ scale: 2 ** (127 - skipped.length), good: applied, applied });
    const after = params();
    expect(after).not.toEqual(before);
    trainer.dispose();
    // The bias corrections are those of a run that never had the skipped steps.
    const other = await trainerOf({ growthInterval: 100 });
    other.trainer.queue!.reset({ scale: 2 ** (127 - skipped.length), good: 0, applied: 0 }, 0);
    for (let step = skipped.length + 1; step <= 8; step++) await other.trainer.queue!.push(step, far(step), true);
    expect(params()).toEqual(after);
    other.trainer.dispose();
  });
});
