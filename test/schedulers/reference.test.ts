import { describe, expect, it } from 'vitest';
import { createSampler } from '../../lib/schedulers/createSampler.js';
import { addNoiseCoefficients, velocityCoefficients } from '../../lib/schedulers/ddpm.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import type { SamplerKind, SamplerOptions } from '../../lib/schedulers/sampler.js';
import { relativeError, schedulerFixture } from './schedulerFixture.js';

const predictions = { sd15: 'epsilon', sd21: 'v_prediction', sdxl: 'epsilon' } as const;

const cases: readonly [string, SamplerKind, Omit<SamplerOptions, 'steps'>][] = [
  ['euler', 'euler', {}],
  ['euler_karras', 'euler', { karras: true }],
  ['euler_trailing', 'euler', { spacing: 'trailing' }],
  ['ddim', 'ddim', {}],
  ['ddim_trailing', 'ddim', { spacing: 'trailing' }],
  ['dpmpp_2m', 'dpmpp2m', {}],
  ['dpmpp_2m_karras', 'dpmpp2m', { karras: true }],
];

describe.each(['sd15', 'sd21', 'sdxl'] as const)('%s against diffusers 0.40', (pipeline) => {
  const fixture = schedulerFixture(pipeline);
  const schedule = noiseSchedule({
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    beta_end: 0.012,
    steps_offset: 1,
    set_alpha_to_one: false,
    prediction_type: predictions[pipeline],
  });

  it('has the same alphasCumprod, bit for bit', () => {
    expect([...schedule.alphasCumprod]).toEqual([...fixture.tensor('ddpm.alphas_cumprod')]);
  });

  it.each([
    ['ddpm.noisy', addNoiseCoefficients],
    ['ddpm.velocity', velocityCoefficients],
  ] as const)('%s', (name, coefficients) => {
    const { signal, noise } = coefficients(schedule, fixture.tensor('ddpm.t'));
    const eps = fixture.tensor('eps');
    const perSample = eps.length / 2;
    const row = (k: number): number => Math.floor(k / perSample);
    const mixed = fixture.tensor('x0').map((x0, k) => signal[row(k)]! * x0 + noise[row(k)]! * eps[k]!);
    expect(relativeError(mixed, fixture.tensor(name))).toBeLessThan(1e-6);
  });

  it.each(cases)('%s: timesteps, sigmas and every state', (name, kind, options) => {
    const sampler = createSampler(kind, schedule, { steps: fixture.steps, ...options });
    expect(relativeError(sampler.timesteps, fixture.tensor(`${name}.timesteps`))).toBeLessThan(1e-6);
    if (kind !== 'ddim') expect(relativeError(sampler.sigmas, fixture.tensor(`${name}.sigmas`))).toBeLessThan(1e-6);
    const states = fixture.tensor(`${name}.x`);
    let x = Float32Array.from(fixture.tensor('x0'), (value) => value * sampler.initNoiseSigma);
    for (let i = 0; i < fixture.steps; i++) {
      const t = sampler.timesteps[i]!;
      const before = x.slice();
      const output = sampler.scaleModelInput(x, i).map((v) => Math.sin(1.7 * v) + 0.1 * Math.cos(v + t / 1000));
      const next = sampler.step(output, i, x);
      expect(x).toEqual(before);
      x = Float32Array.from(next);
      expect(relativeError(x, states.subarray(i * x.length, (i + 1) * x.length)), `step ${i}`).toBeLessThan(1e-5);
    }
  });
});
