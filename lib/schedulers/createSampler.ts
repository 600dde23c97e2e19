import { ConfigError } from '../errors.js';
import { ddimSampler } from './ddim.js';
import { dpmpp2mSampler } from './dpmpp2m.js';
import { eulerSampler } from './euler.js';
import type { NoiseSchedule } from './noiseSchedule.js';
import type { Sampler, SamplerKind, SamplerOptions } from './sampler.js';

const constructors: Readonly<
  Record<SamplerKind, (schedule: NoiseSchedule, options: Required<SamplerOptions>) => Sampler>
> = { euler: eulerSampler, ddim: ddimSampler, dpmpp2m: dpmpp2mSampler };

/** The samplers that can be asked for by name. */
export const samplerKinds: readonly SamplerKind[] = ['euler', 'ddim', 'dpmpp2m'];

/**
 * A sampler for a model's noise schedule, with the same timesteps, noise levels and states as diffusers 0.40's
 * EulerDiscreteScheduler, DDIMScheduler (η = 0) or DPMSolverMultistepScheduler (order 2, midpoint, dpmsolver++).
 * @throws ConfigError for an unknown name, a number of steps that does not fit, or a field of the model's config that
 * is not implemented
 */
export function createSampler(kind: SamplerKind, schedule: NoiseSchedule, options: SamplerOptions): Sampler {
  if (!samplerKinds.includes(kind)) {
    throw new ConfigError(`sampler: expected one of ${samplerKinds.join(', ')}, got "${kind}"`);
  }
  const { steps, karras, spacing = schedule.timestepSpacing } = options;
  if (!Number.isInteger(steps) || steps < 1 || steps > schedule.trainTimesteps) {
    throw new ConfigError(`steps: expected an integer from 1 to ${schedule.trainTimesteps}, got ${steps}`);
  }
  if (!['leading', 'trailing', 'linspace'].includes(spacing)) {
    throw new ConfigError(`spacing: expected leading, trailing or linspace, got "${spacing}"`);
  }
  if (kind === 'ddim' && karras === true) {
    throw new ConfigError('karras: ddim has no Karras noise levels', { hint: 'Use the sampler euler or dpmpp2m.' });
  }
  return constructors[kind](schedule, { steps, karras: karras ?? schedule.useKarrasSigmas, spacing });
}
