import { ConfigError } from '../errors.js';
import { fieldError, requireFields } from './configFields.js';
import { karrasSigmas, sigmaToTimestep } from './karras.js';
import type { NoiseSchedule, TimestepSpacing } from './noiseSchedule.js';
import { mix, type Sampler, type SamplerOptions } from './sampler.js';
import { interpolate, roundHalfEven, spacedTimesteps } from './timesteps.js';

// algorithm_type, solver_order and solver_type are what the name of this sampler says; lower_order_final and
// euler_at_final have no effect, since a step to σ = 0 is always of first order.
function checkFields(schedule: NoiseSchedule): void {
  requireFields(schedule.config, {
    thresholding: [false],
    final_sigmas_type: ['zero'],
    use_exponential_sigmas: [false],
    use_beta_sigmas: [false],
    use_lu_lambdas: [false],
  });
  const lambdaMin = -Math.log(schedule.sigmas.at(-1)!);
  const clipped = schedule.config.lambda_min_clipped ?? Number.NEGATIVE_INFINITY;
  // Python's JSON writes −∞ as a word that a reader may hand over as a string.
  if (clipped !== '-Infinity' && !(typeof clipped === 'number' && clipped <= lambdaMin)) {
    throw fieldError('lambda_min_clipped', `at most ${lambdaMin.toFixed(3)}, the schedule's own minimum`, clipped);
  }
}

/** One point more than steps, without the last: the solver's own end is σ = 0. */
function plainTimesteps(schedule: NoiseSchedule, spacing: TimestepSpacing, steps: number): Float64Array {
  const points = spacing === 'trailing' ? steps : steps + 1;
  return spacedTimesteps(schedule, spacing, points).map(roundHalfEven).subarray(0, steps);
}

function levelsOf(schedule: NoiseSchedule, options: Required<SamplerOptions>): [Float64Array, Float64Array] {
  const { steps, karras, spacing } = options;
  const table = schedule.sigmas;
  if (!karras) {
    const timesteps = plainTimesteps(schedule, spacing, steps);
    return [timesteps, timesteps.map((t) => interpolate(table, t))];
  }
  const levels = karrasSigmas(table.at(-1)!, table[0]!, steps);
  // Cosine schedules end so steeply that diffusers cuts their timesteps down. The first level is that of T − 1: there it has T − 2 or T − 1, as
  // the rounding of a logarithm falls; here it is T − 1.
  const whole = schedule.betaSchedule === 'squaredcos_cap_v2' ? Math.trunc : roundHalfEven;
  return [levels.map((sigma) => whole(sigmaToTimestep(sigma, table))), levels];
}

/**
 * Coefficients of x' = x·prior + x_0·now − x_0(previous)·past for the step from level s to level next, where before is
 * the level of the step before (undefined: first order). With α = 1/sqrt(σ²+1), λ = −ln σ, h = λ' − λ, r = h_before/h
 * and g = α'(1 − e^−h): prior = σ'α'/(σα), now = g + g/2r, past = g/2r (arXiv 2211.01095, algorithm 2, midpoint).
 */
function stepCoefficients(
  s: number,
  next: number,
  before: number | undefined,
): { prior: number; now: number; past: number } {
  const alphaNext = 1 / Math.sqrt(next ** 2 + 1);
  const gain = alphaNext * (1 - next / s);
  const prior = (next / s) * (alphaNext * Math.sqrt(s ** 2 + 1));
  if (before === undefined || next === 0) return { prior, now: gain, past: 0 };
  const past = (gain * Math.log(s / next)) / (2 * Math.log(before / s));
  return { prior, now: gain + past, past };
}

/** DPM-Solver++ (2M) on the variance-preserving state x = α·x_0 + ασ·ε. Keeps the last predicted x_0. */
export function dpmpp2mSampler(schedule: NoiseSchedule, options: Required<SamplerOptions>): Sampler {
  checkFields(schedule);
  const [timesteps, levels] = levelsOf(schedule, options);
  const sigmas = Float64Array.of(...levels, 0);
  let last: { i: number; x0: Float32Array } | undefined;
  const predictX0 = (out: Float32Array, sigma: number, x: Float32Array): Float32Array => {
    const root = Math.sqrt(sigma ** 2 + 1);
    return schedule.predictionType === 'epsilon' ? mix(root, x, -sigma, out) : mix(1 / root, x, -sigma / root, out);
  };
  return {
    kind: 'dpmpp2m',
    timesteps,
    sigmas,
    initNoiseSigma: 1,
    scaleModelInput: (x) => x,
    step(modelOutput, i, x) {
      const history = i === 0 ? undefined : last;
      if (i > 0 && history?.i !== i - 1) {
        throw new ConfigError(
          `[dpmpp2m] step ${i}: expected to follow step ${i - 1}, got it after ${history?.i ?? 'none'}`,
        );
      }
      const x0 = predictX0(modelOutput, sigmas[i]!, x);
      const { prior, now, past } = stepCoefficients(sigmas[i]!, sigmas[i + 1]!, history && sigmas[i - 1]!);
      last = { i, x0 };
      if (history === undefined || past === 0) return mix(prior, x, now, x0);
      return x.map((value, k) => prior * value + now * x0[k]! - past * history.x0[k]!);
    },
  };
}
