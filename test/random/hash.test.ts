import { describe, expect, it } from 'vitest';
import { hash32, pick, shuffled, uniformDraws } from '../../lib/random/hash.js';

const take = (n: number, draw: () => number): number[] => Array.from({ length: n }, draw);

describe('hash32', () => {
  it('is a bijection that flips about half of the bits when one bit changes', () => {
    expect(new Set(Array.from({ length: 50_000 }, (_, i) => hash32(i))).size).toBe(50_000);
    let flipped = 0;
    for (let i = 0; i < 1000; i++) {
      const change = hash32(i) ^ hash32(i ^ (1 << (i % 32)));
      flipped += (change >>> 0).toString(2).replaceAll('0', '').length;
    }
    expect(Math.abs(flipped / 1000 - 16)).toBeLessThan(0.5);
  });
});

describe('uniformDraws', () => {
  it('gives the same values for the same seed and stream, others for others', () => {
    const values = take(8, uniformDraws(7, 3));
    expect(take(8, uniformDraws(7, 3))).toEqual(values);
    for (const [seed, stream] of [
      [8, 3],
      [7, 4],
      [7 + 2 ** 32, 3],
      [3, 7],
    ] as const)
      expect(take(8, uniformDraws(seed, stream))).not.toEqual(values);
  });

  it('is uniform within a stream and over the first values of seeds', () => {
    for (const values of [
      take(40_000, uniformDraws(1, 1)),
      take(
        40_000,
        (() => {
          let s = 0;
          return () => uniformDraws(s++, 1)();
        })(),
      ),
    ]) {
      const counts = new Array<number>(20).fill(0);
      for (const value of values) counts[Math.floor(value * 20)]!++;
      const chiSquared = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
      expect(chiSquared).toBeLessThan(43.8); // 99.9 % of χ² with 19 degrees of freedom
    }
  });

  it('has no correlation between neighbours, seeds and streams', () => {
    const a = take(20_000, uniformDraws(5, 0));
    for (const b of [a.slice(1), take(20_000, uniformDraws(6, 0)), take(20_000, uniformDraws(5, 1))]) {
      const covariance = b.reduce((sum, value, i) => sum + (value - 0.5) * (a[i]! - 0.5), 0) / b.length;
      expect(Math.abs(covariance * 12)).toBeLessThan(4 / Math.sqrt(b.length));
    }
  });
});

describe('pick and shuffled', () => {
  it('reach every value and keep all of them', () => {
    const draw = uniformDraws(9, 9);
    const values = ['a', 'b', 'c', 'd'];
    expect(new Set(take(100, () => 0).map(() => pick(draw, values)))).toEqual(new Set(values));
    expect([...shuffled(draw, values)].sort()).toEqual(values);
    expect(new Set(take(300, () => 0).map(() => shuffled(draw, values).join(''))).size).toBe(24);
  });
});
