import { describe, expect, it } from 'vitest';
import { resolveTrainOptions } from '../../lib/train/options.js';
import { watchedTimesteps } from '../../lib/train/watch.js';
import {
  COPYING,
  copyScore,
  WATCH_BANDS,
  type WatchFigures,
  type WatchRecord,
  watchRecord,
  watchVerdict,
} from '../../lib/train/watchFigures.js';

const without: WatchFigures = { losses: [1, 0.5, 0.25, 0.125, 0.0625], distance: 2 };

/** Figures with shares of the losses without adapters: of the noisiest band, and of all others. */
function figures(noisiest: number, others: number, distance: number | null = null): WatchFigures {
  return { losses: without.losses.map((loss, band) => loss * (band === 4 ? noisiest : others)), distance };
}

/** A run of pairs (noisiest, others), watched every ten steps. */
function records(pairs: readonly (readonly [number, number])[]): WatchRecord[] {
  return pairs.map(([noisiest, others], i) => watchRecord(10 * (i + 1), figures(noisiest, others), without));
}

describe('copyScore', () => {
  it('is 0 without adapters and 1 for a copy', () => {
    expect(copyScore(without, without)).toBe(0);
    expect(copyScore(figures(0, 1), without)).toBe(1);
  });

  it('is the share of the noisiest loss that is gone, whatever the other bands', () => {
    expect(copyScore(figures(0.75, 0.1), without)).toBeCloseTo(0.25, 12);
    expect(copyScore(figures(1.5, 0.1), without)).toBe(0);
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
      [1 - COPYING, 0.5],
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

describe('watchedTimesteps', () => {
  it('are spread evenly over the bands', () => {
    expect(watchedTimesteps(1000, 2)).toEqual([50, 150, 250, 350, 450, 550, 650, 750, 850, 950]);
    const all = watchedTimesteps(1000, 3);
    expect(all.map((t) => Math.floor((t * WATCH_BANDS) / 1000))).toEqual(all.map((_, i) => Math.floor(i / 3)));
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
