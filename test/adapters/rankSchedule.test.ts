import { describe, expect, it } from 'vitest';
import {
  activeRank,
  drawRankSchedule,
  type RankSchedule,
  samplerRanks,
  validateRankSchedule,
} from '../../lib/adapters/rankSchedule.js';
import { ConfigError } from '../../lib/errors.js';

const paper: RankSchedule = { T: 1000, maxRank: 64, minRank: 32, alpha: 1 };
const ranksAt = (schedule: RankSchedule, ts: readonly number[]): number[] => ts.map((t) => activeRank(schedule, t));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('activeRank', () => {
  it('falls from the rank at t = 0 to the minimum at t = T', () => {
    expect(ranksAt(paper, [0, 1, 250, 500, 750, 999, 1000])).toEqual([64, 63, 56, 48, 40, 32, 32]);
  });

  it('averages 47.52 over uniform t and reaches the full rank at t = 0 only', () => {
    const all = Array.from({ length: 1000 }, (_, t) => activeRank(paper, t));
    expect(mean(all)).toBeCloseTo(47.52, 2);
    expect(all.filter((r) => r === 64)).toHaveLength(1);
  });

  it.each([
    [32, 0.5, [59, 54, 48]],
    [32, 2, [50, 40, 34]],
    [1, 0.5, [55, 45, 32]],
    [1, 1, [48, 32, 16]],
    [1, 2, [36, 16, 4]],
  ])('minimum %i, alpha %d at t = 250, 500, 750', (minRank, alpha, expected) => {
    expect(ranksAt({ ...paper, minRank, alpha }, [250, 500, 750])).toEqual(expected);
  });

  it('divides before it multiplies: 0.29·100 is below 29', () => {
    expect(activeRank({ T: 1000, maxRank: 100, minRank: 0, alpha: 1 }, 710)).toBe(28);
  });

  it('takes fractional timesteps and refuses those outside [0, T]', () => {
    expect(activeRank(paper, 968.75)).toBe(33);
    expect(activeRank(paper, 968.76)).toBe(32);
    for (const t of [-1e-9, 1000.5, Number.NaN]) expect(() => activeRank(paper, t)).toThrow(ConfigError);
  });

  it('never leaves [minRank, maxRank] and never rises with t', () => {
    for (const alpha of [0.25, 1, 3]) {
      const all = Array.from({ length: 1001 }, (_, t) => activeRank({ ...paper, alpha }, t));
      expect(all.every((r, t) => r <= (all[t - 1] ?? 64) && r >= 32)).toBe(true);
    }
  });
});

it('gives a 25-step sampler 25 distinct ranks from 33 to 63', () => {
  const ranks = samplerRanks(paper, 25);
  expect([ranks[0], ranks.at(-1), new Set(ranks).size]).toEqual([33, 63, 25]);
  expect(mean(ranks)).toBeCloseTo(48.1, 1);
});

describe('validateRankSchedule', () => {
  it('accepts equal ranks and a minimum of 0', () => {
    expect(() => validateRankSchedule({ ...paper, minRank: 64 })).not.toThrow();
    expect(() => validateRankSchedule({ ...paper, minRank: 0 })).not.toThrow();
  });

  it.each<[Partial<RankSchedule>, RegExp]>([
    [{ minRank: 65 }, /minRank: expected at most the rank, 64, got 65/],
    [{ minRank: -1 }, /minRank: .*got -1/],
    [{ minRank: 1.5 }, /minRank: expected an integer.*got 1\.5/],
    [{ maxRank: 0 }, /rank: expected an integer of at least 1, got 0/],
    [{ maxRank: Number.NaN }, /rank: .*got NaN/],
    [{ maxRank: 63.5 }, /rank: .*got 63\.5/],
    [{ T: 0 }, /T: .*got 0/],
    [{ alpha: 0 }, /alpha: .*got 0/],
    [{ alpha: -1 }, /alpha: .*got -1/],
    [{ alpha: Number.NaN }, /alpha: .*got NaN/],
    [{ alpha: Number.POSITIVE_INFINITY }, /alpha: .*got Infinity/],
  ])('refuses %j', (change, message) => {
    expect(() => validateRankSchedule({ ...paper, ...change })).toThrow(message);
    expect(() => validateRankSchedule({ ...paper, ...change })).toThrow(ConfigError);
  });
});

describe('drawRankSchedule', () => {
  it('prints the plot, the table, the means and the ranks of a sampler', () => {
    const lines = drawRankSchedule(paper).split('\n');
    expect(lines).toContain('t       0   1  250  500  750  999');
    expect(lines).toContain('r(t)   64  63   56   48   40   32');
    expect(lines).toContain('mean r over all t: 47.52');
    expect(lines).toContain('full rank at 1 of 1000 timesteps');
    const sampler = lines.indexOf('25 sampling steps (leading), mean r 48.1:');
    const ranks = lines
      .slice(sampler + 1)
      .join(' ')
      .trim()
      .split(/\s+/);
    expect(sampler).toBeGreaterThan(0);
    expect(ranks.map(Number)).toEqual(samplerRanks(paper, 25));
  });

  it('draws bars whose heights are the ranks', () => {
    const rows = drawRankSchedule(paper, 20)
      .split('\n')
      .filter((line) => line.includes('│'))
      .map((line) => line.slice(line.indexOf('│') + 1));
    expect(rows).toHaveLength(8);
    expect(rows.slice(4)).toEqual(Array(4).fill('█'.repeat(20)));
    const eighths = ' ▁▂▃▄▅▆▇█';
    const heights = Array.from({ length: 20 }, (_, c) =>
      rows.reduce((sum, row) => sum + eighths.indexOf(row[c] ?? ' '), 0),
    );
    expect(heights).toEqual(Array.from({ length: 20 }, (_, c) => activeRank(paper, c * 50)));
  });

  it('fits the width asked for, and a model with few timesteps', () => {
    const longest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
    expect(longest(drawRankSchedule({ ...paper, maxRank: 1000 }, 40))).toBeLessThanOrEqual(50);
    expect(drawRankSchedule({ T: 1, maxRank: 2, minRank: 1, alpha: 1 })).toContain('mean r over all t: 2.00');
    expect(drawRankSchedule({ T: 100, maxRank: 8, minRank: 4, alpha: 1 })).toContain(
      't      0  1  25  50  75  99\nr(t)   8  7   7   6   5   4\n',
    );
  });

  it('refuses a schedule that is not valid', () => {
    expect(() => drawRankSchedule({ ...paper, minRank: 65 })).toThrow(ConfigError);
  });
});
