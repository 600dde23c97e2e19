import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../lib/errors.js';
import { deriveSeed, philox4x32, randomTimesteps, standardNormals } from '../../lib/random/philox.js';

const max = 0xffffffff;

describe('philox4x32', () => {
  it.each([
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    ['ones', [max, max, max, max], [max, max], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      'digits of pi',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('gives the known answer of Random123 for %s', (_, counter, key, expected) => {
    expect(philox4x32(counter, key)).toEqual(expected);
  });
});

/** Statistic of Kolmogorov and Smirnov times sqrt(n); above 1.95 with probability 0.001. */
function kolmogorovSmirnov(values: Float32Array, cdf: (x: number) => number): number {
  const n = values.length;
  const distances = values.toSorted().map((x, i) => Math.max(cdf(x) - i / n, (i + 1) / n - cdf(x)));
  return Math.sqrt(n) * distances.reduce((a, b) => Math.max(a, b), 0);
}

/** Standard normal distribution function by its power series, exact to 1e-12 for |x| < 6. */
function normalCdf(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 3; Math.abs(term) > 1e-17; k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

describe('standardNormals', () => {
  it('is Box–Muller on the words of counter (block, stream) with the seed as key', () => {
    const seed = 2 ** 40 + 5;
    const stream = 2 ** 33 + 7;
    const values = standardNormals(seed, stream, 8);
    const [a, b, c, d] = philox4x32([1, 0, 7, 2], [5, 256]);
    const u = [a, b, c, d].map((word) => (word + 0.5) * 2 ** -32);
    const radius = [Math.sqrt(-2 * Math.log(u[0]!)), Math.sqrt(-2 * Math.log(u[2]!))];
    const expected = [
      radius[0]! * Math.cos(2 * Math.PI * u[1]!),
      radius[0]! * Math.sin(2 * Math.PI * u[1]!),
      radius[1]! * Math.cos(2 * Math.PI * u[3]!),
      radius[1]! * Math.sin(2 * Math.PI * u[3]!),
    ];
    expect([...values.subarray(4)]).toEqual([...Float32Array.from(expected)]);
  });

  it('gives the same first values whatever the length', () => {
    const long = standardNormals(3, 1, 64);
    for (const n of [0, 1, 2, 3, 5, 63]) expect(standardNormals(3, 1, n)).toEqual(long.subarray(0, n));
  });

  it('is standard normal', () => {
    expect(kolmogorovSmirnov(standardNormals(0, 0, 50_000), normalCdf)).toBeLessThan(1.95);
  });

  it('is uncorrelated between neighbours, streams and seeds', () => {
    const n = 40_000;
    const x = standardNormals(1, 1, n);
    const shifted = standardNormals(1, 1, n + 1).subarray(1);
    for (const y of [shifted, standardNormals(1, 2, n), standardNormals(2, 1, n)]) {
      const correlation = x.reduce((sum, value, i) => sum + value * y[i]!, 0) / n;
      expect(Math.abs(correlation)).toBeLessThan(3.3 / Math.sqrt(n));
    }
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])('refuses seed %d', (seed) => {
    expect(() => standardNormals(seed, 0, 1)).toThrow(ConfigError);
    expect(() => standardNormals(0, seed, 1)).toThrow(ConfigError);
  });
});

describe('randomTimesteps', () => {
  it('is the high part of a 64-bit word times T', () => {
    const [seed, step, T] = [2 ** 50 + 3, 41, 1000];
    const words = philox4x32([1, 0, step, 0x8000_0000], [3, 2 ** 18]);
    const wide = (high: number, low: number): number =>
      Number((((BigInt(high) << 32n) | BigInt(low)) * BigInt(T)) >> 64n);
    const expected = [wide(words[0], words[1]), wide(words[2], words[3])];
    expect([...randomTimesteps(seed, step, 4, T)].slice(2)).toEqual(expected);
  });

  it('agrees with 64-bit integer arithmetic for the largest T', () => {
    const T = 2 ** 20 - 1;
    const ours = randomTimesteps(9, 9, 200, T);
    ours.forEach((t, i) => {
      const words = philox4x32([Math.floor(i / 2), 0, 9, 0x8000_0000], [9, 0]);
      const w = (BigInt(words[(i % 2) * 2]!) << 32n) | BigInt(words[(i % 2) * 2 + 1]!);
      expect(t).toBe(Number((w * BigInt(T)) >> 64n));
    });
  });

  it('is uniform over 0 … T − 1 from step to step (chi-square, p > 0.001)', () => {
    const bins = new Float64Array(50);
    const steps = 10_000;
    for (let step = 0; step < steps; step++) {
      const t = randomTimesteps(0, step, 1, 1000)[0]!;
      bins[Math.floor(t / 20)]! += 1;
    }
    const expected = steps / 50;
    const statistic = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(bins.reduce((a, b) => a + b)).toBe(steps);
    expect(statistic).toBeLessThan(85.35);
  });

  it('reaches both ends and does not depend on how many are drawn', () => {
    const many = randomTimesteps(1, 1, 200, 4);
    expect(new Set(many)).toEqual(new Set([0, 1, 2, 3]));
    expect(randomTimesteps(1, 1, 7, 4)).toEqual(many.subarray(0, 7));
    expect([...randomTimesteps(1, 1, 3, 1)]).toEqual([0, 0, 0]);
  });

  it.each([0, -1, 1.5, 2 ** 20 + 1, Number.NaN])('refuses T = %d', (T) => {
    expect(() => randomTimesteps(0, 0, 1, T)).toThrow(ConfigError);
  });
});

describe('deriveSeed', () => {
  it('gives different usable seeds for different indices and seeds', () => {
    const seeds = [0, 1, 2 ** 53 - 1].flatMap((seed) => [0, 1, 2 ** 40].map((index) => deriveSeed(seed, index)));
    expect(new Set(seeds).size).toBe(9);
    expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true);
    expect(deriveSeed(seeds[0]!, 0)).not.toBe(seeds[0]);
  });

  it('takes the top 53 bits of block 0', () => {
    const words = philox4x32([0, 0, 6, 0x4000_0000], [5, 0]);
    expect(deriveSeed(5, 6)).toBe(Number(((BigInt(words[0]) << 32n) | BigInt(words[1])) >> 11n));
  });
});
