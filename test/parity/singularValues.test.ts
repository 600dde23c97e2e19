import { describe, expect, it } from 'vitest';
import { pseudoRandom } from '../support/pseudoRandom.js';
import { kolmogorovP, kolmogorovSmirnov } from './singularValues.js';

describe('the Kolmogorov–Smirnov test', () => {
  it('measures the largest distance of two distribution functions', () => {
    expect(kolmogorovSmirnov([1, 2, 3], [1, 2, 3])).toBe(0);
    expect(kolmogorovSmirnov([1, 2], [3, 4])).toBe(1);
    expect(kolmogorovSmirnov([1, 2, 3, 4], [2.5])).toBe(0.5);
    expect(kolmogorovSmirnov([3, 1, 2], [1, 1, 1])).toBeCloseTo(2 / 3, 12);
  });

  it('has the tabulated probabilities of large samples', () => {
    // d·√n of 1.2238, 1.3581 and 1.9495 belong to 10 %, 5 % and 0.1 %.
    const n = 1e8;
    for (const [scaled, p] of [
      [1.2238, 0.1],
      [1.3581, 0.05],
      [1.9495, 0.001],
    ] as const) {
      expect(kolmogorovP(scaled / Math.sqrt(n / 2), n, n)).toBeCloseTo(p, 4);
    }
    expect(kolmogorovP(0, 400, 4000)).toBe(1);
    expect(kolmogorovP(1, 400, 4000)).toBeLessThan(1e-300);
  });

  it('accepts draws of one law and refuses a shifted one', () => {
    const random = pseudoRandom(3);
    const draw = (n: number, shift: number): number[] => Array.from({ length: n }, () => random.normal() + shift);
    const p = (shift: number): number => kolmogorovP(kolmogorovSmirnov(draw(4000, shift), draw(400, 0)), 4000, 400);
    expect(p(0)).toBeGreaterThan(0.001);
    expect(p(0.3)).toBeLessThan(0.001);
  });
});
