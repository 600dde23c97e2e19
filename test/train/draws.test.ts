import { describe, expect, it } from 'vitest';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { drawStep, streamKeys } from '../../lib/train/draws.js';

const noise = noiseSchedule({
  _class_name: 'DDPMScheduler',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
});
const ranks = { T: 1000, maxRank: 64, minRank: 32, alpha: 1 };
const run = { seed: 3, batch: 2, accumulate: 3, pictures: 4 };

describe('drawStep', () => {
  it('is a pure function of seed and step', () => {
    expect(drawStep(run, noise, ranks, true, 7)).toEqual(drawStep(run, noise, ranks, true, 7));
    expect(drawStep(run, noise, ranks, true, 8)).not.toEqual(drawStep(run, noise, ranks, true, 7));
    expect(drawStep({ ...run, seed: 4 }, noise, ranks, true, 7)).not.toEqual(drawStep(run, noise, ranks, true, 7));
  });

  it('gives each sample its rank, its picture in turn and its own noise stream', () => {
    const batches = drawStep(run, noise, ranks, true, 2);
    expect(batches).toHaveLength(3);
    for (const { timesteps, activeRanks, feeds } of batches) {
      expect(activeRanks).toEqual(timesteps.map((t) => Math.trunc(((1000 - t) / 1000) * 32) + 32));
      expect([...(feeds.activeRank as Int32Array)]).toEqual(activeRanks);
      expect([...(feeds.timesteps as Float32Array)]).toEqual(timesteps);
    }
    expect(batches.flatMap((b) => b.pictures)).toEqual([2, 3, 0, 1, 2, 3]);
    const streams = batches.flatMap((b) => {
      const keys = b.feeds.noiseKey as Int32Array;
      return [keys[2], keys[6]];
    });
    expect(streams).toEqual([6, 7, 8, 9, 10, 11]);
  });

  it('leaves all ranks active without a mask', () => {
    expect(drawStep(run, noise, ranks, false, 1).flatMap((b) => b.activeRanks)).toEqual([64, 64, 64, 64, 64, 64]);
  });

  it('mixes latents and noise with unit variance', () => {
    for (const { feeds } of drawStep(run, noise, ranks, true, 5)) {
      const [signal, weight] = [feeds.signal as Float32Array, feeds.noiseWeight as Float32Array];
      signal.forEach((s, i) => {
        expect(s ** 2 + weight[i]! ** 2).toBeCloseTo(1, 6);
      });
      expect([...(feeds.targetSignal as Float32Array), ...(feeds.targetNoise as Float32Array)]).toEqual([0, 0, 1, 1]);
    }
  });
});

describe('streamKeys', () => {
  it('splits seeds and streams into words', () => {
    expect([...streamKeys(2 ** 32 * 5 + 7, 2 ** 32 - 1, 2)]).toEqual([7, 5, -1, 0, 7, 5, 0, 1]);
  });
});
