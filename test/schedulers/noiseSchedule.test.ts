import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../lib/errors.js';
import type { SchedulerConfig } from '../../lib/schedulers/configFields.js';
import { addNoiseCoefficients, targetCoefficients, velocityCoefficients } from '../../lib/schedulers/ddpm.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';

const sdxl = {
  _class_name: 'EulerDiscreteScheduler',
  _diffusers_version: '0.19.0.dev0',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  clip_sample: false,
  interpolation_type: 'linear',
  num_train_timesteps: 1000,
  prediction_type: 'epsilon',
  sample_max_value: 1.0,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  timestep_spacing: 'leading',
  trained_betas: null,
  use_karras_sigmas: false,
};

describe('noiseSchedule', () => {
  it('reads the file of a released model', () => {
    const schedule = noiseSchedule(sdxl);
    expect(schedule).toMatchObject({
      trainTimesteps: 1000,
      predictionType: 'epsilon',
      timestepSpacing: 'leading',
      stepsOffset: 1,
      useKarrasSigmas: false,
      setAlphaToOne: false,
      clipSampleRange: undefined,
    });
    const logSnr = [250, 500, 750, 961].map((t) => -2 * Math.log(schedule.sigmas[t]!));
    [0.73, -0.96, -2.82, -4.92].forEach((expected, i) => {
      expect(Math.abs(logSnr[i]! - expected)).toBeLessThan(0.006);
    });
  });

  it('has the spacing of its class when the file names none', () => {
    const spacing = (config: SchedulerConfig): string => noiseSchedule(config).timestepSpacing;
    expect(spacing({})).toBe('leading');
    expect(spacing({ _class_name: 'PNDMScheduler' })).toBe('leading');
    expect(spacing({ _class_name: 'DDIMScheduler' })).toBe('leading');
    expect(spacing({ _class_name: 'EulerDiscreteScheduler' })).toBe('linspace');
    expect(spacing({ _class_name: 'DPMSolverMultistepScheduler' })).toBe('linspace');
    expect(spacing({ _class_name: 'DDIMScheduler', timestep_spacing: 'trailing' })).toBe('trailing');
  });

  it('linear betas: the product of 1 − β', () => {
    const { alphasCumprod } = noiseSchedule({ num_train_timesteps: 3, beta_start: 0.1, beta_end: 0.3 });
    [0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7].forEach((a, t) => {
      expect(alphasCumprod[t]).toBeCloseTo(a, 6);
    });
  });

  it('cosine betas: alphasCumprod follows cos² until the cap', () => {
    const { alphasCumprod } = noiseSchedule({ beta_schedule: 'squaredcos_cap_v2' });
    const bar = (t: number): number => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
    for (const t of [0, 10, 500, 990]) expect(alphasCumprod[t]! / (bar((t + 1) / 1000) / bar(0))).toBeCloseTo(1, 4);
    expect(alphasCumprod[999]! / alphasCumprod[998]!).toBeCloseTo(0.001, 6);
  });

  it('trained betas replace the formula', () => {
    const betas = [0.5, 0.25];
    const { alphasCumprod } = noiseSchedule({ num_train_timesteps: 2, trained_betas: betas, beta_schedule: 'linear' });
    expect([...alphasCumprod]).toEqual([0.5, 0.375]);
  });

  it('rescaled betas: no signal is left at T − 1, and t = 0 is unchanged', () => {
    const plain = noiseSchedule({ ...sdxl, prediction_type: 'v_prediction' });
    const zero = noiseSchedule({ ...sdxl, prediction_type: 'v_prediction', rescale_betas_zero_snr: true });
    expect(zero.alphasCumprod[999]).toBe(0);
    expect(zero.alphasCumprod[0]).toBeCloseTo(plain.alphasCumprod[0]!, 7);
    expect(zero.sigmas[999]).toBeCloseTo(Math.sqrt(2 ** 24 - 1), 9);
    expect(zero.alphasCumprod.every((a, t) => t === 0 || a < zero.alphasCumprod[t - 1]!)).toBe(true);
  });

  it('rescaled betas lose the digits that float32 takes from them, so that noise levels are those of training', () => {
    // Tables of diffusers 0.40 with PyTorch's square roots rounded correctly. The first beta of 1e-4 has three digits left.
    const tables: readonly [start: number, end: number, T: number, table: readonly (readonly [number, number])[]][] = [
      [
        1e-4,
        0.02,
        1000,
        [
          [0, 0.9999001026153564],
          [1, 0.999794602394104],
          [2, 0.9996864199638367],
          [50, 0.9905923008918762],
          [98, 0.971447229385376],
          [998, 7.986307792862135e-8],
        ],
      ],
      [
        1e-4,
        0.02,
        100,
        [
          [0, 0.9999001026153564],
          [1, 0.9994775652885437],
          [2, 0.9989508390426636],
          [50, 0.6667051911354065],
          [98, 0.0005410456797108054],
        ],
      ],
      [
        0.00085,
        0.012,
        1000,
        [
          [0, 0.9991499781608582],
          [1, 0.9982334971427917],
          [2, 0.9973126649856567],
          [50, 0.9481350779533386],
          [98, 0.8894063234329224],
          [998, 1.9679627882851491e-7],
        ],
      ],
    ];
    for (const [beta_start, beta_end, num_train_timesteps, table] of tables) {
      const { alphasCumprod } = noiseSchedule({
        num_train_timesteps,
        beta_schedule: 'scaled_linear',
        beta_start,
        beta_end,
        prediction_type: 'v_prediction',
        rescale_betas_zero_snr: true,
      });
      for (const [t, alpha] of table) expect(alphasCumprod[t], `t = ${t}`).toBe(alpha);
    }
  });

  it('a cosine schedule ends at its own noise level, above that of a terminal signal of zero', () => {
    // EulerDiscreteScheduler of diffusers 0.40: 20291.303.
    const { sigmas } = noiseSchedule({ beta_schedule: 'squaredcos_cap_v2' });
    expect(sigmas[999]! / 20291.303).toBeCloseTo(1, 7);
  });

  it('a class that clips does so unless the file says otherwise', () => {
    const clip = (name: string, more = {}): number | undefined =>
      noiseSchedule({ _class_name: name, ...more }).clipSampleRange;
    expect(['DDIMScheduler', 'DDPMScheduler'].map((name) => clip(name))).toEqual([1, 1]);
    expect(clip('DDIMScheduler', { clip_sample: false })).toBeUndefined();
    expect(['PNDMScheduler', 'EulerDiscreteScheduler'].map((name) => clip(name))).toEqual([undefined, undefined]);
  });

  it('accepts fields without effect, and null for the default', () => {
    const odd = {
      ...sdxl,
      skip_prk_steps: false,
      solver_order: 3,
      dynamic_thresholding_ratio: 0.5,
      variance_type: null,
    };
    expect(noiseSchedule({ ...odd, prediction_type: null }).alphasCumprod).toEqual(noiseSchedule(sdxl).alphasCumprod);
  });

  it.each<[string, unknown]>([
    ['_class_name', 'FlowMatchEulerDiscreteScheduler'],
    ['_class_name', 'toString'],
    ['_class_name', 7],
    ['beta_schedule', 'sigmoid'],
    ['beta_start', '0.1'],
    ['beta_start', -0.1],
    ['beta_end', 0.0001],
    ['beta_end', 1],
    ['num_train_timesteps', 0],
    ['num_train_timesteps', 10.5],
    ['trained_betas', [0.1, 0.2]],
    ['trained_betas', 'none'],
    ['prediction_type', 'sample'],
    ['prediction_type', 'flow_prediction'],
    ['timestep_spacing', 'log'],
    ['steps_offset', -1],
    ['use_karras_sigmas', 1],
    ['use_flow_sigmas', true],
    ['variance_type', 'learned_range'],
    ['rescale_betas_zero_snr', true],
    ['clip_sample', 'no'],
  ])('refuses %s = %j and names it', (name, value) => {
    const read = (): unknown => noiseSchedule({ ...sdxl, [name]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(`[scheduler_config.json] ${name}: expected`);
  });
});

describe('training coefficients', () => {
  const schedule = noiseSchedule(sdxl);
  const timesteps = [0, 3, 999];

  it('keep unit variance, and the velocity is orthogonal to the noisy latents', () => {
    const noisy = addNoiseCoefficients(schedule, timesteps);
    const velocity = velocityCoefficients(schedule, timesteps);
    timesteps.forEach((t, i) => {
      expect(noisy.signal[i]).toBe(Math.sqrt(schedule.alphasCumprod[t]!));
      expect(noisy.signal[i]! ** 2 + noisy.noise[i]! ** 2).toBeCloseTo(1, 14);
      expect(noisy.signal[i]! * velocity.signal[i]! + noisy.noise[i]! * velocity.noise[i]!).toBeCloseTo(0, 14);
    });
  });

  it('the target is the noise, or the velocity', () => {
    expect(targetCoefficients(schedule, timesteps)).toEqual({
      signal: new Float64Array(3),
      noise: new Float64Array([1, 1, 1]),
    });
    const v = noiseSchedule({ ...sdxl, prediction_type: 'v_prediction' });
    expect(targetCoefficients(v, timesteps)).toEqual(velocityCoefficients(v, timesteps));
  });

  it.each([-1, 1000, 0.5, Number.NaN])('refuses timestep %d', (t) => {
    expect(() => addNoiseCoefficients(schedule, [5, t])).toThrow(ConfigError);
  });
});
