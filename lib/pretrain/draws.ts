import type { Feeds } from '../pipeline/session.js';
import { deriveSeed, randomTimesteps } from '../random/philox.js';
import { addNoiseCoefficients, targetCoefficients } from '../schedulers/ddpm.js';
import type { NoiseSchedule } from '../schedulers/noiseSchedule.js';
import { streamKeys } from '../train/draws.js';

/** What each use of the seed of a stage draws from; a number once given is never given another meaning. */
export const SEED_USES = { weights: 1, latents: 2, noise: 3, timesteps: 4, dropout: 5, preview: 6, rows: 7 } as const;

/** Philox keys [n, 4] of the latents of pictures `first`, `first` + 1, … */
export function latentKeys(seed: number, first: number, n: number): Int32Array {
  return streamKeys(deriveSeed(seed, SEED_USES.latents), first, n);
}

/** `timesteps`, and what noise and target are mixed by at these times. */
export function timeFeeds(schedule: NoiseSchedule, times: readonly number[]): Feeds {
  const [mixed, target] = [addNoiseCoefficients(schedule, times), targetCoefficients(schedule, times)];
  return {
    timesteps: Float32Array.from(times),
    signal: Float32Array.from(mixed.signal),
    noiseWeight: Float32Array.from(mixed.noise),
    targetSignal: Float32Array.from(target.signal),
    targetNoise: Float32Array.from(target.noise),
  };
}

/** Values that the time of a sample is drawn from. */
const FINE = 2 ** 20;

/**
 * Time, noise and target of the `n` samples of a step, 1 for the first.
 * @param timeExponent times are ⌊T · u^timeExponent⌋ with uniform u
 */
export function noiseFeeds(seed: number, schedule: NoiseSchedule, step: number, n: number, timeExponent = 1): Feeds {
  const drawn = randomTimesteps(deriveSeed(seed, SEED_USES.timesteps), step, n, FINE);
  const times = Array.from(drawn, (u) => Math.floor(schedule.trainTimesteps * ((u + 0.5) / FINE) ** timeExponent));
  return { noiseKey: streamKeys(deriveSeed(seed, SEED_USES.noise), (step - 1) * n, n), ...timeFeeds(schedule, times) };
}

/** Which of the `n` samples of a step go without their captions, each with probability `share`. */
export function droppedCaptions(seed: number, step: number, n: number, share: number): boolean[] {
  const parts = 2 ** 20;
  const draws = randomTimesteps(deriveSeed(seed, SEED_USES.dropout), step, n, parts);
  return Array.from(draws, (draw) => draw < share * parts);
}
