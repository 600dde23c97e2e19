import { addAbortListener } from 'node:events';
import { AbortError } from '../errors.js';
import type { Session } from '../pipeline/session.js';
import { createSampler } from '../schedulers/createSampler.js';
import type { NoiseSchedule } from '../schedulers/noiseSchedule.js';
import type { Sampler, SamplerKind } from '../schedulers/sampler.js';
import type { Denoiser } from './denoiser.js';

/**
 * The sampler of a model. Where its scheduler_config.json names no timestep_spacing, the spacing is leading: what the released models'
 * pipelines use.
 */
export function samplerFor(
  schedule: NoiseSchedule,
  options: { sampler: SamplerKind; steps: number; karras: boolean },
): Sampler {
  const { sampler, steps, karras } = options;
  const spacing = typeof schedule.config.timestep_spacing === 'string' ? schedule.timestepSpacing : 'leading';
  return createSampler(sampler, schedule, { steps, karras, spacing });
}

export interface SampleOptions {
  readonly denoiser: Denoiser;
  readonly sampler: Sampler;
  /** Classifier-free guidance scale; read when the denoiser has two rows. */
  readonly guidance: number;
  /** Unit normals [h, w, c]. */
  readonly noise: Float32Array;
  /** Components in use at a timestep. */
  readonly activeRank: (t: number) => number;
  readonly signal?: AbortSignal | undefined;
  /** After each step, 1 for the first, with the new latents. */
  readonly onStep?: ((step: number, latents: Float32Array) => void) | undefined;
}

/** negative + scale · (positive − negative) of predictions [2, ...], in float64; one row is returned as it is. */
export function guided(predictions: Float32Array, count: number, scale: number): Float32Array {
  if (predictions.length === count) return predictions;
  return Float32Array.from({ length: count }, (_, i) => {
    const negative = predictions[i]!;
    return negative + scale * (predictions[count + i]! - negative);
  });
}

/** One step of the sampler: the latents x before step i to those after it. */
export async function sampleStep(
  { denoiser, sampler, guidance, activeRank }: Pick<SampleOptions, 'denoiser' | 'sampler' | 'guidance' | 'activeRank'>,
  i: number,
  x: Float32Array,
): Promise<Float32Array> {
  const t = sampler.timesteps[i]!;
  const predictions = await denoiser.predict(sampler.scaleModelInput(x, i), t, activeRank(t));
  return sampler.step(guided(predictions, x.length, guidance), i, x);
}

/**
 * Runs a sampler from noise to latents.
 * @returns latents [h, w, c], scaled as the UNet has them
 * @throws AbortError once the signal is aborted: the step under way is cancelled
 */
export async function sampleLatents(session: Session, options: SampleOptions): Promise<Float32Array> {
  const { sampler, noise, signal, onStep } = options;
  return abortable(session, signal, async () => {
    let x: Float32Array = noise.map((v) => v * sampler.initNoiseSigma);
    for (let i = 0; i < sampler.timesteps.length; i++) {
      if (signal?.aborted) throw new AbortError(signal.reason);
      x = await sampleStep(options, i, x);
      onStep?.(i + 1, x);
    }
    return x;
  });
}

/**
 * Runs `work` on a session's engine, which the signal cancels.
 * @throws AbortError with the signal's reason as its cause
 */
export async function abortable<T>(
  session: Session,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!signal) return work();
  if (signal.aborted) throw new AbortError(signal.reason);
  const watch = addAbortListener(signal, () => session.engine.cancel());
  try {
    return await work();
  } catch (error) {
    throw signal.aborted ? new AbortError(signal.reason) : error;
  } finally {
    watch[Symbol.dispose]();
  }
}
