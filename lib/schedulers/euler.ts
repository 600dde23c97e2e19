import { requireFields } from './configFields.js';
import { karrasSigmas, sigmaToTimestep } from './karras.js';
import type { NoiseSchedule } from './noiseSchedule.js';
import { mix, type Sampler, type SamplerOptions } from './sampler.js';
import { interpolate, spacedTimesteps } from './timesteps.js';

/**
 * Euler steps of dx/dσ = ε on x = x_0 + σ·ε (Karras et al. 2022, algorithm 1 without churn). Karras levels run between
 * the first and last level of the spaced timesteps.
 */
export function eulerSampler(schedule: NoiseSchedule, options: Required<SamplerOptions>): Sampler {
  const { steps, karras, spacing } = options;
  requireFields(schedule.config, {
    interpolation_type: ['linear'],
    timestep_type: ['discrete'],
    final_sigmas_type: ['zero'],
    use_exponential_sigmas: [false],
    use_beta_sigmas: [false],
    ...(karras ? { sigma_min: [], sigma_max: [] } : {}),
  });
  const spaced = spacedTimesteps(schedule, spacing, steps);
  const plain = spaced.map((t) => interpolate(schedule.sigmas, t));
  const levels = karras ? karrasSigmas(plain[0]!, plain.at(-1)!, steps) : plain;
  const timesteps = karras ? levels.map((sigma) => sigmaToTimestep(sigma, schedule.sigmas)) : spaced;
  const sigmas = Float64Array.of(...levels, 0);
  const sigmaMax = Math.max(...levels);
  return {
    kind: 'euler',
    timesteps,
    sigmas,
    initNoiseSigma: spacing === 'leading' ? Math.sqrt(sigmaMax ** 2 + 1) : sigmaMax,
    scaleModelInput(x, i) {
      const scale = 1 / Math.sqrt(sigmas[i]! ** 2 + 1);
      return x.map((value) => value * scale);
    },
    // ε from v: ε = σ/(σ²+1)·x + v/sqrt(σ²+1), because the model sees x/sqrt(σ²+1).
    step(modelOutput, i, x) {
      const sigma = sigmas[i]!;
      const dt = sigmas[i + 1]! - sigma;
      if (schedule.predictionType === 'epsilon') return mix(1, x, dt, modelOutput);
      const variance = sigma ** 2 + 1;
      return mix(1 + (dt * sigma) / variance, x, dt / Math.sqrt(variance), modelOutput);
    },
  };
}
