import { describe, expect, it } from 'vitest';
import type { Denoiser } from '../../lib/generate/denoiser.js';
import { guided, sampleLatents, samplerFor } from '../../lib/generate/sample.js';
import type { Session } from '../../lib/pipeline/session.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';

const schedule = noiseSchedule({
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  steps_offset: 1,
});
const sampler = (steps: number) => samplerFor(schedule, { sampler: 'euler', steps, karras: false });

/** A session of which only `cancel` is used. */
function fakeSession(onCancel: () => void = () => {}): Session {
  return { engine: { cancel: onCancel } } as unknown as Session;
}

/** Predicts the negative row as 0 and the positive one as `value`; tells what it was asked. */
function fakeDenoiser(asked: [t: number, rank: number][], value = 1): Denoiser {
  return {
    predict: async (latents, t, rank) => {
      asked.push([t, rank]);
      return Float32Array.from({ length: 2 * latents.length }, (_, i) => (i < latents.length ? 0 : value));
    },
    dispose: () => {},
  };
}

describe('guided', () => {
  it('moves from the negative prediction through the positive one', () => {
    expect(guided(Float32Array.of(1, 2, 3, 6), 2, 1)).toEqual(Float32Array.of(3, 6));
    expect(guided(Float32Array.of(1, 2, 3, 6), 2, 0)).toEqual(Float32Array.of(1, 2));
    expect(guided(Float32Array.of(1, 2, 3, 6), 2, 5)).toEqual(Float32Array.of(11, 22));
  });

  it('leaves a single row alone', () => {
    expect(guided(Float32Array.of(1, 2), 2, 5)).toEqual(Float32Array.of(1, 2));
  });
});

describe('samplerFor', () => {
  it('spaces timesteps from the lower end where the model names no spacing, whatever its class', () => {
    const config = { _class_name: 'EulerDiscreteScheduler', beta_schedule: 'scaled_linear', steps_offset: 1 };
    const timesteps = (more: object): number[] => [
      ...samplerFor(noiseSchedule({ ...config, ...more }), { sampler: 'euler', steps: 4, karras: false }).timesteps,
    ];
    expect(timesteps({})).toEqual([751, 501, 251, 1]);
    expect(timesteps({ timestep_spacing: 'trailing' })).toEqual([999, 749, 499, 249]);
  });
});

describe('sampleLatents', () => {
  it('asks for each timestep with its rank, guides, and tells each step', async () => {
    const asked: [number, number][] = [];
    const steps: number[] = [];
    const noise = Float32Array.of(0.5, -1, 2);
    const given = Float32Array.from(noise);
    const latents = await sampleLatents(fakeSession(), {
      denoiser: fakeDenoiser(asked),
      sampler: sampler(5),
      guidance: 3,
      noise,
      activeRank: (t) => t + 1,
      onStep: (step) => steps.push(step),
    });
    expect(asked).toEqual([801, 601, 401, 201, 1].map((t) => [t, t + 1]));
    expect(steps).toEqual([1, 2, 3, 4, 5]);
    expect(noise).toEqual(given);
    // Each Euler step adds (next sigma − sigma) · 3; the last sigma is 0.
    const { sigmas, initNoiseSigma } = sampler(5);
    latents.forEach((x, i) => {
      expect(x).toBeCloseTo(noise[i]! * initNoiseSigma - 3 * sigmas[0]!, 4);
    });
  });

  it('stops at an abort: cancels the engine and rejects with the reason', async () => {
    const aborter = new AbortController();
    let cancelled = 0;
    const asked: [number, number][] = [];
    const run = sampleLatents(
      fakeSession(() => cancelled++),
      {
        denoiser: fakeDenoiser(asked),
        sampler: sampler(5),
        guidance: 1,
        noise: new Float32Array(4),
        activeRank: () => 1,
        signal: aborter.signal,
        onStep: (step) => step === 2 && aborter.abort('enough'),
      },
    );
    await expect(run).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' });
    expect(asked).toHaveLength(2);
    expect(cancelled).toBe(1);
  });

  it('does nothing when aborted before', async () => {
    const asked: [number, number][] = [];
    const run = sampleLatents(fakeSession(), {
      denoiser: fakeDenoiser(asked),
      sampler: sampler(5),
      guidance: 1,
      noise: new Float32Array(4),
      activeRank: () => 1,
      signal: AbortSignal.abort(),
    });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
    expect(asked).toEqual([]);
  });
});
