import { describe, expect, it } from 'vitest';
import { resolveTrainOptions } from '../../lib/train/options.js';
import {
  COPYING,
  commonSquare,
  copyScore,
  WATCH_BANDS,
  type WatchFigures,
  type WatchRecord,
  watchedDraws,
  watchRecord,
  watchVerdict,
} from '../../lib/train/watchFigures.js';

const without: WatchFigures = { losses: [1, 0.5, 0.25, 0.125, 0.0625], unknown: 0.5, distance: 2 };

/** Figures with shares of those without adapters: of what is unknown, and of the losses of all bands but the noisiest. */
function figures(unknown: number, losses: number, distance: number | null = null): WatchFigures {
  const all = without.losses.map((loss, band) => loss * (band === 4 ? 1 : losses));
  return { losses: all, unknown: unknown * without.unknown, distance };
}

/** A run of pairs (unknown, losses), watched every ten steps. */
function records(pairs: readonly (readonly [number, number])[]): WatchRecord[] {
  return pairs.map(([unknown, losses], i) => watchRecord(10 * (i + 1), figures(unknown, losses), without));
}

describe('copyScore', () => {
  it('is 0 without adapters and 1 for a copy', () => {
    expect(copyScore(without, without)).toBe(0);
    expect(copyScore(figures(0, 1), without)).toBe(1);
  });

  it('is the share of the unknown that is gone, whatever the losses', () => {
    expect(copyScore(figures(0.75, 0.1), without)).toBeCloseTo(0.25, 12);
    expect(copyScore(figures(1.5, 0.1), without)).toBe(0);
    expect(copyScore(figures(-0.1, 0.1), without)).toBe(1); // an estimate may fall below 0
    expect(copyScore(figures(0.1, 0.1), { ...without, unknown: 0 })).toBe(0);
  });

  it('is that of the pictures where these are nearer', () => {
    expect(copyScore(figures(0.75, 1, 0.5), without)).toBeCloseTo(0.75, 12);
    expect(copyScore(figures(0.25, 1, 1.9), without)).toBeCloseTo(0.75, 12);
  });
});

describe('watchVerdict', () => {
  it('knows nothing before the first record', () => {
    expect(watchVerdict([])).toEqual({ best: null, copyingFrom: null });
  });

  it('takes the one that learnt most while nothing is copied', () => {
    const all = records([
      [1, 0.9],
      [0.9, 0.7],
      [0.8, 0.75],
    ]);
    expect(watchVerdict(all)).toEqual({ best: 20, copyingFrom: null });
  });

  it('stops at the first record that copies, however much is learnt later', () => {
    const all = records([
      [0.9, 0.8],
      [0.7, 0.6],
      [1 - COPYING - 0.01, 0.5],
      [0.8, 0.1],
    ]);
    expect(watchVerdict(all)).toEqual({ best: 20, copyingFrom: 30 });
    expect(watchVerdict(all.slice(0, 2))).toEqual({ best: 20, copyingFrom: null });
  });

  it('takes the first record if all copy', () => {
    const all = records([
      [0.4, 0.8],
      [0.2, 0.6],
    ]);
    expect(watchVerdict(all)).toEqual({ best: 10, copyingFrom: 10 });
  });

  it('takes the earlier of two equals, and passes over infinite figures', () => {
    const all = records([
      [Number.NaN, 0.1],
      [0.9, 0.5],
      [0.8, 0.5],
    ]);
    expect(watchVerdict(all)).toEqual({ best: 20, copyingFrom: null });
  });
});

describe('watchedDraws', () => {
  it('are spread evenly over the bands', () => {
    expect(watchedDraws(1000, 2, 1).map(({ t }) => t)).toEqual([50, 150, 250, 350, 450, 550, 650, 750, 850, 950]);
    const all = watchedDraws(1000, 3, 1);
    expect(all.map(({ t }) => Math.floor((t * WATCH_BANDS) / 1000))).toEqual(all.map(({ band }) => band));
  });

  it('show the pictures in turn, and from most noise each one twice at least', () => {
    const all = watchedDraws(1000, 1, 3);
    expect(all.map(({ band, picture }) => [band, picture])).toEqual([
      ...[0, 1, 2, 3].map((i) => [i, i % 3]),
      ...[0, 0, 1, 1, 2, 2].map((picture) => [4, picture]),
    ]);
  });
});

describe('commonSquare', () => {
  const errors = (...all: [picture: number, values: number[]][]) =>
    all.map(([picture, values]) => ({ picture, values: Float32Array.from(values) }));

  it('is the mean square of what is alike', () => {
    expect(commonSquare(errors([0, [3, 4]], [0, [3, 4]]))).toBe(12.5);
    expect(commonSquare(errors([0, [2, 0]], [0, [0, 5]]))).toBe(0);
    expect(commonSquare(errors([0, [1, 1]], [0, [3, 1]], [0, [2, -2]]))).toBeCloseTo((2 + 0 + 2) / 3, 12);
  });

  it('compares errors of the same picture only', () => {
    expect(commonSquare(errors([0, [1, 1]], [1, [9, 9]], [0, [1, 3]], [1, [1, 1]]))).toBe((2 + 9) / 2);
  });

  it('lets errors cancel that differ from noise to noise', () => {
    const noisy = Array.from({ length: 6 }, (_, draw) => ({
      picture: 0,
      values: Float32Array.from({ length: 4096 }, (_v, k) => 0.5 + 3 * Math.sin(12.9898 * (k + 1) * (draw + 1.37))),
    }));
    expect(commonSquare(noisy)).toBeGreaterThan(0.15);
    expect(commonSquare(noisy)).toBeLessThan(0.35);
  });
});

describe('the option watch', () => {
  const least = { model: 'm', image: 'a.png', className: 'dog', steps: 90 };

  it('has defaults that follow steps and prompt', () => {
    expect(resolveTrainOptions(least).watch).toBeUndefined();
    const all = { every: 5, draws: 2, samples: 0, prompt: 'a photo of {0}' };
    expect(resolveTrainOptions({ ...least, watch: true }).watch).toEqual(all);
    expect(resolveTrainOptions({ ...least, steps: 3, watch: {} }).watch).toEqual({ ...all, every: 1 });
    const given = { every: 7, draws: 1, samples: 2, prompt: 'a {0} in snow' };
    expect(resolveTrainOptions({ ...least, watch: given }).watch).toEqual(given);
  });

  it('names what is wrong', () => {
    expect(() => resolveTrainOptions({ ...least, watch: { every: 0 } })).toThrow('watch');
    expect(() => resolveTrainOptions({ ...least, watch: 3 as never })).toThrow('watch');
  });
});
