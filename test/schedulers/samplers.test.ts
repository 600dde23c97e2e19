import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../lib/errors.js';
import type { SchedulerConfig } from '../../lib/schedulers/configFields.js';
import { createSampler, samplerKinds } from '../../lib/schedulers/createSampler.js';
import { karrasSigmas, sigmaToTimestep } from '../../lib/schedulers/karras.js';
import { type NoiseSchedule, noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import type { Sampler, SamplerKind, SamplerOptions } from '../../lib/schedulers/sampler.js';
import { roundHalfEven } from '../../lib/schedulers/timesteps.js';

const stableDiffusion: SchedulerConfig = {
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  steps_offset: 1,
};
const schedule = noiseSchedule(stableDiffusion);
const velocity = noiseSchedule({ ...stableDiffusion, prediction_type: 'v_prediction' });

/**
 * The right prediction when the data is the single point `x0`: input = signal·x0 + noise·ε at the sampler's own noise
 * level.
 */
function exactModel(sampler: Sampler, model: NoiseSchedule, x0: Float32Array) {
  return (input: Float32Array, i: number): Float32Array => {
    const signal = 1 / Math.sqrt(sampler.sigmas[i]! ** 2 + 1);
    const noise = sampler.sigmas[i]! * signal;
    return input.map((value, k) => {
      const eps = (value - signal * x0[k]!) / noise;
      return model.predictionType === 'epsilon' ? eps : signal * eps - noise * x0[k]!;
    });
  };
}

function sample(sampler: Sampler, model: NoiseSchedule, x0: Float32Array): Float32Array {
  const predict = exactModel(sampler, model, x0);
  let x = new Float32Array([0.3, -1.2, 2.5]).map((value) => value * sampler.initNoiseSigma);
  sampler.timesteps.forEach((_, i) => {
    x = Float32Array.from(sampler.step(predict(sampler.scaleModelInput(x, i), i), i, x));
  });
  return x;
}

describe('every sampler', () => {
  const x0 = new Float32Array([0.5, -0.25, 0]);
  const runs = samplerKinds.flatMap((kind) =>
    [{}, { karras: true }, { spacing: 'trailing' }, { spacing: 'linspace' }]
      .filter((options) => !(kind === 'ddim' && 'karras' in options))
      .map((options) => [kind, options as Omit<SamplerOptions, 'steps'>] as const),
  );

  it.each(runs)('%s %j finds the only point there is', (kind, options) => {
    for (const model of [schedule, velocity]) {
      const found = sample(createSampler(kind, model, { steps: 12, ...options }), model, x0);
      found.forEach((value, k) => {
        expect(Math.abs(value - x0[k]!)).toBeLessThan(1e-5);
      });
    }
  });

  it.each(runs)('%s %j has falling timesteps within the training range', (kind, options) => {
    for (const steps of [1, 2, 7, 25, 50, 333]) {
      const { timesteps, sigmas } = createSampler(kind, schedule, { steps, ...options });
      expect(timesteps).toHaveLength(steps);
      expect(sigmas).toHaveLength(steps + 1);
      expect(timesteps.every((t, i) => t >= 0 && t <= 999 && (i === 0 || t <= timesteps[i - 1]!))).toBe(true);
      expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true);
      // DDIM goes back by the rounded-down step, so that trailing timesteps may end at t = 0 instead of behind it.
      const end = kind === 'ddim' && options.spacing === 'trailing' && steps === 7 ? schedule.sigmas[0] : 0;
      expect(sigmas.at(-1)).toBe(end);
    }
  });

  it.each(samplerKinds)('%s refuses impossible steps', (kind) => {
    for (const steps of [0, -1, 2.5, 1000, 1001, Number.NaN]) {
      expect(() => createSampler(kind, schedule, { steps }), `${steps}`).toThrow(ConfigError);
    }
  });

  it('takes spacing and Karras levels from the model unless told', () => {
    const config = { ...stableDiffusion, timestep_spacing: 'trailing', use_karras_sigmas: true };
    const own = createSampler('euler', noiseSchedule(config), { steps: 5 });
    expect(own.sigmas).toEqual(
      createSampler('euler', schedule, { steps: 5, spacing: 'trailing', karras: true }).sigmas,
    );
    const told = createSampler('euler', noiseSchedule(config), { steps: 5, spacing: 'leading', karras: false });
    expect([...told.timesteps]).toEqual([801, 601, 401, 201, 1]);
  });

  it('refuses what it does not know', () => {
    expect(() => createSampler('heun' as SamplerKind, schedule, { steps: 5 })).toThrow('got "heun"');
    expect(() => createSampler('euler', schedule, { steps: 5, spacing: 'log' as 'leading' })).toThrow('got "log"');
    expect(() => createSampler('ddim', schedule, { steps: 5, karras: true })).toThrow('ddim has no Karras');
  });

  it.each<[SamplerKind, string, unknown]>([
    ['euler', 'interpolation_type', 'log_linear'],
    ['euler', 'timestep_type', 'continuous'],
    ['euler', 'final_sigmas_type', 'sigma_min'],
    ['euler', 'use_beta_sigmas', true],
    ['euler', 'use_exponential_sigmas', true],
    ['ddim', 'thresholding', true],
    ['dpmpp2m', 'thresholding', true],
    ['dpmpp2m', 'final_sigmas_type', 'sigma_min'],
    ['dpmpp2m', 'use_lu_lambdas', true],
    ['dpmpp2m', 'lambda_min_clipped', -2],
  ])('%s refuses %s = %j of the model', (kind, name, value) => {
    const model = noiseSchedule({ ...stableDiffusion, [name]: value });
    expect(() => createSampler(kind, model, { steps: 5 })).toThrow(`[scheduler_config.json] ${name}: expected`);
  });
});

describe('euler', () => {
  it('with leading spacing: 25 steps at 961, 921, …, 1', () => {
    const { timesteps, initNoiseSigma, sigmas } = createSampler('euler', schedule, { steps: 25 });
    expect([...timesteps]).toEqual(Array.from({ length: 25 }, (_, i) => 961 - 40 * i));
    expect(initNoiseSigma).toBeCloseTo(Math.sqrt(sigmas[0]! ** 2 + 1), 12);
  });

  it('with linspace spacing: fractional timesteps, sigmas between their neighbours', () => {
    const { timesteps, sigmas, initNoiseSigma } = createSampler('euler', schedule, { steps: 3, spacing: 'linspace' });
    expect([...timesteps]).toEqual([999, 499.5, 0]);
    expect(sigmas[1]).toBeCloseTo((schedule.sigmas[499]! + schedule.sigmas[500]!) / 2, 12);
    expect(initNoiseSigma).toBe(sigmas[0]);
  });

  it('with Karras levels ends exactly on a training timestep', () => {
    const model = noiseSchedule({ ...stableDiffusion, steps_offset: 0 });
    for (let steps = 2; steps < 60; steps++) {
      expect(createSampler('euler', model, { steps, karras: true }).timesteps.at(-1)).toBe(0);
    }
  });

  it('refuses the model’s own Karras range only when it would be used', () => {
    const model = noiseSchedule({ ...stableDiffusion, sigma_min: 0.002 });
    expect(createSampler('euler', model, { steps: 5 }).timesteps).toHaveLength(5);
    expect(() => createSampler('euler', model, { steps: 5, karras: true })).toThrow('sigma_min');
  });
});

describe('ddim', () => {
  it('set_alpha_to_one false: the result keeps the noise level of t = 0', () => {
    const model = noiseSchedule({ ...stableDiffusion, set_alpha_to_one: false });
    const { sigmas } = createSampler('ddim', model, { steps: 5 });
    expect(sigmas.at(-1)).toBe(model.sigmas[0]);
  });

  it('clamps the predicted picture when the model says so', () => {
    const clipped = noiseSchedule({ ...stableDiffusion, clip_sample: true, clip_sample_range: 0.5 });
    const sampler = createSampler('ddim', clipped, { steps: 1 });
    const zeros = new Float32Array(2);
    expect([...sampler.step(zeros, 0, new Float32Array([9, -9]))]).toEqual([0.5, -0.5]);
    const free = createSampler('ddim', schedule, { steps: 1 });
    expect(free.step(zeros, 0, new Float32Array([9, -9]))[0]).toBeGreaterThan(9);
  });

  it('starts from pure noise when the terminal signal is zero', () => {
    const zero = noiseSchedule({ ...stableDiffusion, prediction_type: 'v_prediction', rescale_betas_zero_snr: true });
    const sampler = createSampler('ddim', zero, { steps: 4, spacing: 'trailing' });
    const next = sampler.step(new Float32Array([-1]), 0, new Float32Array([0.5]));
    const a = zero.alphasCumprod[749]!;
    expect(next[0]).toBeCloseTo(Math.sqrt(a) + Math.sqrt(1 - a) * 0.5, 6);
  });
});

describe('dpmpp2m', () => {
  const ones = new Float32Array([1]);

  it('can be run twice, and gives the same again', () => {
    const sampler = createSampler('dpmpp2m', schedule, { steps: 6 });
    const x0 = new Float32Array([0.1, 0.2, 0.3]);
    expect(sample(sampler, schedule, x0)).toEqual(sample(sampler, schedule, x0));
  });

  it('refuses steps out of order', () => {
    const sampler = createSampler('dpmpp2m', schedule, { steps: 6 });
    expect(() => sampler.step(ones, 1, ones)).toThrow('expected to follow step 0');
    sampler.step(ones, 0, ones);
    sampler.step(ones, 1, ones);
    expect(() => sampler.step(ones, 3, ones)).toThrow('[dpmpp2m] step 3: expected to follow step 2, got it after 1');
  });

  it('with Karras levels on a cosine schedule: timesteps cut down, but for the first, which is the last of training', () => {
    const { timesteps } = createSampler('dpmpp2m', noiseSchedule({ beta_schedule: 'squaredcos_cap_v2' }), {
      steps: 10,
      karras: true,
    });
    // DPMSolverMultistepScheduler of diffusers 0.40: 998, 998, … with 1000 training timesteps, 49, 48, … with 50.
    expect([...timesteps]).toEqual([999, 998, 998, 998, 997, 995, 983, 894, 259, 0]);
  });

  it('is of second order: halving the steps’ size quarters the error', () => {
    // x_0 as a smooth function of λ = −ln σ; the solution ∫ e^λ x_0 dλ over one λ range, refined, is the reference.
    const error = (steps: number): number => {
      const run = (n: number): number => {
        const sampler = createSampler('dpmpp2m', schedule, { steps: n, spacing: 'trailing' });
        let x = new Float32Array([0.7]);
        for (let i = 0; i < n; i++) {
          const sigma = sampler.sigmas[i]!;
          const root = Math.sqrt(sigma ** 2 + 1);
          const target = Math.sin(Math.log(sigma));
          x = Float32Array.from(
            sampler.step(
              x.map((value) => (root * value - target) / sigma),
              i,
              x,
            ),
          );
          if (sampler.timesteps[i + 1] === 499) return x[0]!;
        }
        return Number.NaN;
      };
      return Math.abs(run(steps) - run(500));
    };
    const ratio = error(10) / error(20);
    expect(ratio).toBeGreaterThan(3);
    expect(ratio).toBeLessThan(6);
  });
});

it('roundHalfEven rounds like NumPy', () => {
  expect([0.5, 1.5, 2.5, 937.5, 812.5, 2.4999, 2.5001].map(roundHalfEven)).toEqual([0, 2, 2, 938, 812, 2, 3]);
});

it('sigmaToTimestep inverts the table and clamps outside it', () => {
  for (const t of [0, 1, 500, 998, 999])
    expect(sigmaToTimestep(schedule.sigmas[t]!, schedule.sigmas)).toBeCloseTo(t, 9);
  expect(sigmaToTimestep(1e-6, schedule.sigmas)).toBe(0);
  expect(sigmaToTimestep(1e6, schedule.sigmas)).toBe(999);
});

it('karrasSigmas has exact ends', () => {
  const sigmas = karrasSigmas(14.6, 0.03, 9);
  expect([sigmas[0], sigmas[8]]).toEqual([14.6, 0.03]);
  expect([...karrasSigmas(14.6, 0.03, 1)]).toEqual([14.6]);
});
