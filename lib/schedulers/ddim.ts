import { requireFields } from './configFields.js';
import type { NoiseSchedule } from './noiseSchedule.js';
import type { Sampler, SamplerOptions } from './sampler.js';
import { roundHalfEven, spacedTimesteps } from './timesteps.js';

/** alphasCumprod of the state that step t leads to: ⌊T/steps⌋ timesteps earlier, or the final value behind t = 0. */
function previousAlpha(schedule: NoiseSchedule, t: number, steps: number): number {
  const earlier = t - Math.floor(schedule.trainTimesteps / steps);
  if (earlier >= 0) return schedule.alphasCumprod[earlier]!;
  return schedule.setAlphaToOne ? 1 : schedule.alphasCumprod[0]!;
}

/**
 * DDIM with η = 0 (arXiv 2010.02502, eq. 12): x' = sqrt(a')·x_0 + sqrt(1 − a')·ε, x_0 and ε from the prediction at a.
 */
export function ddimSampler(schedule: NoiseSchedule, options: Required<SamplerOptions>): Sampler {
  const { steps, spacing } = options;
  requireFields(schedule.config, { thresholding: [false] });
  const timesteps = spacedTimesteps(schedule, spacing, steps).map(roundHalfEven);
  const alphas = timesteps.map((t) => schedule.alphasCumprod[t]!);
  const previous = timesteps.map((t) => previousAlpha(schedule, t, steps));
  const clip = schedule.clipSampleRange ?? Number.POSITIVE_INFINITY;
  return {
    kind: 'ddim',
    timesteps,
    sigmas: Float64Array.of(...alphas, previous.at(-1)!).map((a) => Math.sqrt((1 - a) / a)),
    initNoiseSigma: 1,
    scaleModelInput: (x) => x,
    step(modelOutput, i, x) {
      const signal = Math.sqrt(alphas[i]!);
      const noise = Math.sqrt(1 - alphas[i]!);
      const nextSignal = Math.sqrt(previous[i]!);
      const nextNoise = Math.sqrt(1 - previous[i]!);
      const velocity = schedule.predictionType === 'v_prediction';
      return x.map((value, k) => {
        const out = modelOutput[k]!;
        const x0 = velocity ? signal * value - noise * out : (value - noise * out) / signal;
        const eps = velocity ? signal * out + noise * value : out;
        return nextSignal * Math.min(clip, Math.max(-clip, x0)) + nextNoise * eps;
      });
    },
  };
}
