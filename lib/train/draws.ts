import type { RankSchedule } from '../adapters/rankSchedule.js';
import { activeRank } from '../adapters/rankSchedule.js';
import type { Feeds } from '../pipeline/session.js';
import { deriveSeed, randomTimesteps } from '../random/philox.js';
import { addNoiseCoefficients, targetCoefficients } from '../schedulers/ddpm.js';
import type { NoiseSchedule } from '../schedulers/noiseSchedule.js';

/** What each use of the seed of a run draws from; a number once given is never given another meaning. */
export const SEED_USES = {
  timesteps: 1,
  noise: 2,
  latents: 3,
  start: 4,
  samples: 5,
  watch: 6,
  watchPictures: 7,
} as const;

/** Time and rank of one batch, with the inputs that they set. */
export interface DrawnBatch {
  readonly timesteps: readonly number[];
  readonly activeRanks: readonly number[];
  /** Which picture each sample shows. */
  readonly pictures: readonly number[];
  readonly feeds: Feeds;
}

/** The inputs of a training step that follow from its timesteps. */
export function timeFeeds(schedule: NoiseSchedule, timesteps: readonly number[], ranks: readonly number[]): Feeds {
  const mixed = addNoiseCoefficients(schedule, timesteps);
  const target = targetCoefficients(schedule, timesteps);
  return {
    timesteps: Float32Array.from(timesteps),
    activeRank: Int32Array.from(ranks),
    signal: Float32Array.from(mixed.signal),
    noiseWeight: Float32Array.from(mixed.noise),
    targetSignal: Float32Array.from(target.signal),
    targetNoise: Float32Array.from(target.noise),
  };
}

/** Philox keys [n, 4] of the streams `first`, `first` + 1, … of a seed. */
export function streamKeys(seed: number, first: number, n: number): Int32Array {
  const words = (x: number): [number, number] => [x % 2 ** 32, Math.floor(x / 2 ** 32)];
  return Int32Array.from({ length: n }, (_, i) => i).reduce(
    (keys, i) => {
      keys.set(
        [...words(seed), ...words(first + i)].map((w) => w | 0),
        4 * i,
      );
      return keys;
    },
    new Int32Array(4 * n),
  );
}

/**
 * Draws one optimizer step: timesteps uniform in 0 … T − 1, the rank of each, a picture each in turn, and the keys of its noise.
 * A pure function of seed and step, so that a resumed run draws what the whole run would have.
 * @param step 1 for the first
 * @param ranks null: no mask, `maxRank` everywhere
 */
export function drawStep(
  run: { seed: number; batch: number; accumulate: number; pictures: number },
  noise: NoiseSchedule,
  ranks: RankSchedule,
  masked: boolean,
  step: number,
): DrawnBatch[] {
  const { batch, accumulate, pictures } = run;
  const use = (name: keyof typeof SEED_USES): number => deriveSeed(run.seed, SEED_USES[name]);
  const all = [...randomTimesteps(use('timesteps'), step, batch * accumulate, noise.trainTimesteps)];
  return Array.from({ length: accumulate }, (_, b) => {
    const first = ((step - 1) * accumulate + b) * batch;
    const timesteps = all.slice(b * batch, (b + 1) * batch);
    const activeRanks = timesteps.map((t) => (masked ? activeRank(ranks, t) : ranks.maxRank));
    const keys = {
      latentKey: streamKeys(use('latents'), first, batch),
      noiseKey: streamKeys(use('noise'), first, batch),
    };
    return {
      timesteps,
      activeRanks,
      pictures: timesteps.map((_t, i) => (first + i) % pictures),
      feeds: { ...timeFeeds(noise, timesteps, activeRanks), ...keys },
    };
  });
}
