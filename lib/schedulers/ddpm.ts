import { ConfigError } from '../errors.js';
import type { NoiseSchedule } from './noiseSchedule.js';

/** Weights of the clean latents and of the noise, one pair per sample. */
export interface MixCoefficients {
  readonly signal: Float64Array;
  readonly noise: Float64Array;
}

function alphaAt(schedule: NoiseSchedule, t: number): number {
  const a = schedule.alphasCumprod[t];
  if (a === undefined) {
    throw new ConfigError(`timestep: expected an integer from 0 to ${schedule.trainTimesteps - 1}, got ${t}`);
  }
  return a;
}

/**
 * Forward process, x_t = signal·x_0 + noise·ε, with signal = sqrt(a_t) and noise = sqrt(1 − a_t) (arXiv 2006.11239,
 * eq. 4).
 */
export function addNoiseCoefficients(schedule: NoiseSchedule, timesteps: ArrayLike<number>): MixCoefficients {
  const alphas = Float64Array.from(timesteps, (t) => alphaAt(schedule, t));
  return { signal: alphas.map(Math.sqrt), noise: alphas.map((a) => Math.sqrt(1 - a)) };
}

/**
 * Velocity, v = signal·x_0 + noise·ε, with signal = −sqrt(1 − a_t) and noise = sqrt(a_t) (arXiv 2202.00512, appendix
 * D).
 */
export function velocityCoefficients(schedule: NoiseSchedule, timesteps: ArrayLike<number>): MixCoefficients {
  const alphas = Float64Array.from(timesteps, (t) => alphaAt(schedule, t));
  return { signal: alphas.map((a) => -Math.sqrt(1 - a)), noise: alphas.map(Math.sqrt) };
}

/** What the model must predict, as target = signal·x_0 + noise·ε: the noise itself, or the velocity. */
export function targetCoefficients(schedule: NoiseSchedule, timesteps: ArrayLike<number>): MixCoefficients {
  if (schedule.predictionType === 'v_prediction') return velocityCoefficients(schedule, timesteps);
  const n = timesteps.length;
  return { signal: new Float64Array(n), noise: new Float64Array(n).fill(1) };
}
