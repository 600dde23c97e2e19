import { describe, expect, it } from 'vitest';
import { droppedCaptions, latentKeys, noiseFeeds } from '../../lib/pretrain/draws.js';
import { initialValues } from '../../lib/pretrain/initialValues.js';
import { miniConfigs } from '../../lib/pretrain/miniModel.js';
import { logSnrAt } from '../../lib/pretrain/noiseCurve.js';
import { pictureBatch } from '../../lib/pretrain/pictures.js';
import { emaMixAt, learningRateAt, MINI_SETTINGS } from '../../lib/pretrain/settings.js';
import { countParameters } from '../../lib/pretrain/trainedTree.js';
import { averagedUnetGraph, unetLayout } from '../../lib/pretrain/unetGraphs.js';
import { vaeLayout } from '../../lib/pretrain/vaeGraphs.js';
import { worldPictures } from '../../lib/pretrain/worldPictures.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';

const configs = miniConfigs(1014);

describe('the mini model', () => {
  it('has at most 32 MB of float16 weights and at most 1 GFLOP in a pass', () => {
    const unet = unetLayout(configs);
    const parameters = countParameters(unet) + countParameters(vaeLayout(configs.vae));
    expect(2 * parameters).toBeLessThan(32e6);
    expect(countParameters(unet, 'unet')).toBeGreaterThan(10e6);
    const { nodes } = averagedUnetGraph(configs, unet, 1, 16);
    const flops = nodes.reduce((sum, node) => sum + (node.op.flops?.(node) ?? 0), 0);
    expect(flops).toBeGreaterThan(0.5e9);
    expect(flops).toBeLessThan(1e9);
  });
});

describe('the plan of a stage', () => {
  const { again: _, ...unet } = MINI_SETTINGS.unet;
  const settings = { ...unet, steps: 1000, warmUp: 100, learningRate: 2 };

  it('warms up, then falls to a fiftieth', () => {
    expect([1, 50, 100, 550, 1000].map((step) => learningRateAt(settings, step))).toEqual([
      0.02,
      1,
      2,
      expect.closeTo(1.02, 12),
      expect.closeTo(0.04, 12),
    ]);
  });

  it('warms up and falls once more if it says so', () => {
    const twice = { ...settings, steps: 3000, again: { after: 1000, learningRate: 1 } };
    for (const step of [50, 100, 550, 1000]) expect(learningRateAt(twice, step)).toBe(learningRateAt(settings, step));
    expect([1050, 1100, 3000].map((step) => learningRateAt(twice, step))).toEqual([0.5, 1, expect.closeTo(0.02, 12)]);
  });

  it('averages the weights from the first step on, with shares that add up to 1', () => {
    expect([...emaMixAt(settings, 1)]).toEqual([0, 1]);
    for (const step of [2, 10, 100_000]) {
      const [keep, take] = emaMixAt(settings, step) as unknown as [number, number];
      expect(keep + take).toBeCloseTo(1, 6);
    }
    expect(emaMixAt(settings, 100_000)[0]).toBeCloseTo(settings.emaDecay, 6);
  });
});

describe('the noise', () => {
  const schedule = noiseSchedule(configs.scheduler);
  const logSnr = schedule.alphasCumprod.map((kept) => Math.log(kept / (1 - kept)));

  it('falls along its curve from the first time to the last', () => {
    const wanted = logSnrAt({ first: 7, last: -6, shift: 0.8 }, 1000);
    expect(wanted[0]).toBeCloseTo(7, 10);
    expect(wanted[999]).toBeCloseTo(-6, 10);
    logSnr.forEach((value, t) => {
      expect(Math.abs(value - wanted[t]!)).toBeLessThan(1e-3);
    });
  });

  it('hides the layout of small pictures as late as that of large ones is hidden elsewhere', () => {
    expect(logSnr[800]).toBeGreaterThan(-1.5);
    expect(logSnr[800]).toBeLessThan(-1.2);
  });
});

describe('the draws of a stage', () => {
  it('follow from seed and step alone', () => {
    const schedule = noiseSchedule(configs.scheduler);
    expect(noiseFeeds(3, schedule, 5, 4)).toEqual(noiseFeeds(3, schedule, 5, 4));
    expect(noiseFeeds(3, schedule, 5, 4).timesteps).not.toEqual(noiseFeeds(3, schedule, 6, 4).timesteps);
    expect([...latentKeys(3, 8, 2)]).toEqual([...latentKeys(3, 7, 3).subarray(4)]);
  });

  it('take late times more often where the settings say so', () => {
    const meanTime = (exponent: number): number => {
      const times = noiseFeeds(3, noiseSchedule(configs.scheduler), 1, 4000, exponent).timesteps as Float32Array;
      expect(Math.max(...times)).toBeLessThan(1000);
      return times.reduce((sum, t) => sum + t, 0) / times.length;
    };
    expect(Math.abs(meanTime(1) - 499.5)).toBeLessThan(25);
    expect(Math.abs(meanTime(0.6) - 1000 / 1.6)).toBeLessThan(25);
  });

  it('drop captions as often as they should', () => {
    const dropped = droppedCaptions(1, 1, 10_000, 0.1).filter(Boolean).length;
    expect(Math.abs(dropped - 1000)).toBeLessThan(5 * Math.sqrt(900));
  });

  it('say how much of each value is the subject', () => {
    const { image, subject } = pictureBatch(worldPictures(4), 0, 3, 0);
    expect(subject.length).toBe(image.length);
    expect(Math.min(...subject)).toBe(0);
    expect(Math.max(...subject)).toBe(1);
    for (let at = 0; at < subject.length; at += 3) expect(new Set(subject.subarray(at, at + 3)).size).toBe(1);
  });

  it('show the same pictures and captions again', () => {
    const [source, again] = [worldPictures(4), worldPictures(4)];
    const first = source(12);
    const pixels = first.pixels.slice();
    source(13);
    expect(again(12).pixels).toEqual(pixels);
    expect(again(12).caption(1)).toBe(first.caption(1));
  });
});

describe('initial values', () => {
  it('are 1 for scales of norms, 0 for biases and ends of branches, else spread by the number of inputs', () => {
    const entry = (shape: number[]) => ({ offset: 0, shape, count: shape.reduce((a, b) => a * b) });
    expect([...initialValues('vae/a.norm1.weight', entry([3]), 1, 0)]).toEqual([1, 1, 1]);
    expect([...initialValues('vae/a.norm1.bias', entry([2]), 1, 0)]).toEqual([0, 0]);
    expect(initialValues('unet/a.resnets.0.conv2.weight', entry([4, 3, 3, 4]), 1, 0).every((v) => v === 0)).toBe(true);
    const drawn = initialValues('unet/a.conv1.weight', entry([64, 3, 3, 16]), 1, 0);
    const variance = drawn.reduce((sum, v) => sum + v * v, 0) / drawn.length;
    expect(variance * 144).toBeGreaterThan(0.9);
    expect(variance * 144).toBeLessThan(1.1);
  });

  it('keep words apart: tokens are larger than their positions', () => {
    const spread = (name: string): number => {
      const entry = { offset: 0, shape: [64, 32], count: 2048 };
      const drawn = initialValues(`text_encoder/text_model.embeddings.${name}`, entry, 1, 0);
      return Math.sqrt(drawn.reduce((sum, v) => sum + v * v, 0) / drawn.length);
    };
    expect(spread('token_embedding.weight')).toBeCloseTo(1, 1);
    expect(spread('position_embedding.weight')).toBeCloseTo(0.3, 1);
  });
});
