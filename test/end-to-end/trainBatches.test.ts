// Steps of several samples. On a CUDA device in fp32 (TLORA_TEST_DEVICE=cuda), and fewer: an emulated one takes seconds for a step.
import { describe, expect, it } from 'vitest';
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import { OutOfMemoryError } from '../../lib/errors.js';
import { prepareConditions, selectConditions } from '../../lib/pipeline/conditions.js';
import { chooseDevice } from '../../lib/pipeline/device.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { type Feeds, openSession, type Session } from '../../lib/pipeline/session.js';
import { encodePrompts } from '../../lib/pipeline/textStates.js';
import type { Target } from '../../lib/plan/target.js';
import { standardNormals } from '../../lib/random/philox.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { drawStep } from '../../lib/train/draws.js';
import { adaptersOf } from '../../lib/train/forecast.js';
import { drawAdapters, ensureAdapterStates } from '../../lib/train/startAdapters.js';
import { createTrainer, planStep, type TrainerOptions } from '../../lib/train/trainer.js';
import { onCuda } from '../support/nativeRun.js';
import { tinyTraining } from './tinyTraining.js';

const tiny = tinyTraining();
const LATENT = 8;
const RANK = 4;
const OPTIMIZER = { learningRate: 1e-2, weightDecay: 1e-2 };

interface Ran {
  readonly layout: AdapterLayout;
  readonly loss: number;
  readonly perSample: readonly number[];
  readonly recomputed: readonly string[];
  state(buffer: string): Float32Array;
}

interface Wish {
  readonly batch: number;
  readonly accumulate: number;
  readonly variant?: 'tlora' | 'vanilla';
  /** Of the four samples of a step; default those of the schedule. */
  readonly ranks?: readonly number[];
  readonly steps?: number;
  /** Within as little memory as recomputation can get by with. */
  readonly tight?: boolean;
}

/** Takes steps of four samples, in batches of `batch`, from values that are not at their start. */
async function ran({ batch, accumulate, variant = 'tlora', ranks, steps = 1, tight = false }: Wish): Promise<Ran> {
  const model = openModel(tiny.model);
  const { layout } = setupAdapters(model.unet, { variant, rank: RANK });
  const session = openSession(onCuda ? chooseDevice('cuda', { threads: 2, precision: 'fp32' }) : 2);
  try {
    const text = await encodePrompts(session, model, ['a photo of sks dog', 'a dog', 'sks', '']);
    const conditions = await prepareConditions(session, model, text, []);
    ensureAdapterStates(session, layout, ['params', ...(layout.orthogonal ? ['base'] : []), 'grads', 'm', 'v']);
    await drawAdapters(session, layout, { variant, rank: RANK, start: DEFAULT_START, orthogonal: 'init' }, 3, model);
    moveValues(session, layout);
    const options: TrainerOptions = {
      unet: model.unet,
      sizes: { batch, height: LATENT, width: LATENT, contextTokens: text.tokens, compute: session.compute },
      adapters: adaptersOf(layout, false),
      draws: 'drawn',
      accumulate,
      optimizer: OPTIMIZER,
    };
    const trainer = await createTrainer(session, {
      ...options,
      memory: tight ? leastMemory(options, session.target) : undefined,
    });
    let result = { loss: 0, perSample: [] as readonly number[] };
    for (let step = 1; step <= steps; step++) {
      const feeds = stepFeeds(model.scheduler, { batch, accumulate, ranks, step }).map((f, i) => ({
        ...f,
        ...selectConditions(
          conditions,
          Array.from({ length: batch }, (_, j) => i * batch + j),
        ).feeds,
      }));
      result = await trainer.step(step, feeds);
    }
    const { recomputed } = trainer.planned;
    const names = [...session.states.keys()];
    const states = new Map(names.map((name) => [name, session.engine.readState(name, 0, layout.flat.total)]));
    trainer.dispose();
    return { layout, ...result, recomputed, state: (name) => states.get(name)! };
  } finally {
    session.engine.dispose();
  }
}

/** About the least memory that recomputation can get by with. */
function leastMemory(options: TrainerOptions, target: Target): number {
  const { totalBytes, arenaBytes } = planStep(options, target).forecast;
  for (const part of [0.6, 0.45, 0.3, 0.15]) {
    const memory = Math.ceil(totalBytes - part * arenaBytes);
    try {
      planStep({ ...options, memory }, target);
      return memory;
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
    }
  }
  return totalBytes - 1;
}

/** Adds noise to all trained values, so that no gradient is zero for want of a change. */
function moveValues({ engine }: Session, { flat }: AdapterLayout): void {
  let seed = 0;
  for (const { offset, count } of flat.entries.values()) {
    const values = engine.readState('params', offset, count);
    const noise = standardNormals(++seed, 0, count);
    engine.writeState(
      'params',
      offset,
      values.map((v, i) => v + 0.1 * noise[i]!),
    );
  }
}

function stepFeeds(
  scheduler: Parameters<typeof noiseSchedule>[0],
  { batch, accumulate, ranks, step }: { batch: number; accumulate: number; ranks: Wish['ranks']; step: number },
): Feeds[] {
  const noise = noiseSchedule(scheduler);
  const schedule = { T: noise.trainTimesteps, maxRank: RANK, minRank: 1, alpha: 1 };
  const drawn = drawStep({ seed: 5, batch, accumulate, pictures: 1 }, noise, schedule, true, step);
  const count = LATENT * LATENT * 4;
  return drawn.map(({ feeds }, i) => ({
    ...feeds,
    ...(ranks && { activeRank: Int32Array.from(ranks.slice(i * batch, (i + 1) * batch)) }),
    latentMean: Float32Array.from({ length: batch * count }, (_, j) => Math.sin(j + i * batch * count)),
    latentStd: new Float32Array(batch * count).fill(0.1),
  }));
}

/** ‖a − b‖ / ‖b‖. */
function distance(a: Float32Array, b: Float32Array): number {
  const sum = (f: (i: number) => number): number => b.reduce((total, _v, i) => total + f(i), 0);
  return Math.sqrt(sum((i) => (a[i]! - b[i]!) ** 2) / sum((i) => b[i]! ** 2));
}

/** Values of one component of every layer: column k of up, row k of down, lambda k. */
function component(values: Float32Array, { flat }: AdapterLayout, k: number): Float32Array {
  const picked: number[] = [];
  for (const [name, { offset, shape }] of flat.entries) {
    const [rows, columns = 1] = shape as [number, number?];
    const up = name.endsWith('lora_up.weight');
    for (let i = 0; i < rows * columns; i++) {
      if ((up ? i % columns : Math.floor(i / columns)) === k) picked.push(values[offset + i]!);
    }
  }
  return Float32Array.from(picked);
}

const isZero = (values: Float32Array): boolean => values.every((v) => v === 0);

describe.each(['tlora', 'vanilla'] as const)('batches of %s', (variant) => {
  it.runIf(!onCuda)('of four timesteps give what four batches of one accumulate', async () => {
    const together = await ran({ variant, batch: 4, accumulate: 1 });
    const alone = await ran({ variant, batch: 1, accumulate: 4 });
    const pairs = await ran({ variant, batch: 2, accumulate: 2 });
    expect(distance(alone.state('gradSum'), together.state('grads'))).toBeLessThan(1e-5);
    expect(distance(pairs.state('gradSum'), together.state('grads'))).toBeLessThan(1e-5);
    expect(alone.loss).toBeCloseTo(together.loss, 5);
    expect(alone.perSample).toHaveLength(4);
    alone.perSample.forEach((loss, i) => {
      expect(loss).toBeCloseTo(together.perSample[i]!, 5);
    });
  });

  const masked = [
    { batch: 4, accumulate: 1 },
    { batch: 1, accumulate: 4 },
    { batch: 2, accumulate: 2 },
    { batch: 4, accumulate: 1, tight: true },
    { batch: 1, accumulate: 4, tight: true },
  ];
  it.each(onCuda ? [{ batch: 2, accumulate: 2, tight: true }] : masked)(
    'leave masked components without any gradient: %o',
    async (sizes) => {
      const { layout, state, recomputed } = await ran({ ...sizes, variant, ranks: [1, 3, 2, 1] });
      const grads = state(sizes.accumulate === 1 ? 'grads' : 'gradSum');
      expect(isZero(component(grads, layout, 3))).toBe(true);
      for (const k of [0, 1, 2]) expect(isZero(component(grads, layout, k))).toBe(false);
      expect(recomputed.length > 0).toBe('tight' in sizes);
    },
  );

  it.runIf(!onCuda)('give a component the gradient of those samples that use it', async () => {
    const both = await ran({ variant, batch: 4, accumulate: 1, ranks: [1, 3, 2, 1] });
    const second = await ran({ variant, batch: 4, accumulate: 1, ranks: [0, 3, 0, 0] });
    const [third, alone] = [both, second].map(({ state, layout }) => component(state('grads'), layout, 2));
    expect(distance(third!, alone!)).toBeLessThan(1e-6);
  });
});

describe('recomputation', () => {
  const all = [
    { batch: 1, accumulate: 1 },
    { batch: 4, accumulate: 1 },
    { batch: 2, accumulate: 2 },
  ];
  it.each(onCuda ? all.slice(2) : all)('gives the same bits: %o', async (sizes) => {
    const steps = onCuda ? 1 : 3;
    const plain = await ran({ ...sizes, steps });
    const within = await ran({ ...sizes, steps, tight: true });
    expect(plain.recomputed).toEqual([]);
    expect(within.recomputed.length).toBeGreaterThan(0);
    expect(within.loss).toBe(plain.loss);
    for (const name of ['params', 'm', 'v', 'grads']) expect(within.state(name)).toEqual(plain.state(name));
  });
});
