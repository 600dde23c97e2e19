import { describe, expect, it } from 'vitest';
import { type Check, checksOf, overAll, relativeError, squares } from './checks.js';

function collected(body: (checks: ReturnType<typeof checksOf>) => void): Check[] {
  const all: Check[] = [];
  body(checksOf('case', (check) => void all.push(check)));
  return all;
}

describe('relativeError', () => {
  it('is the norm of the difference over the norm of the reference', () => {
    expect(relativeError([3, 4.5], [3, 4])).toBeCloseTo(0.1, 12);
    expect(relativeError([1, 2], [1, 2])).toBe(0);
  });

  it('allows only zeros where the reference is 0', () => {
    expect(relativeError([0, 0], [0, 0])).toBe(0);
    expect(relativeError([0, 1e-30], [0, 0])).toBe(Number.POSITIVE_INFINITY);
  });

  it('is infinite for NaN, for an infinite value and for another length', () => {
    expect(relativeError([Number.NaN, 1], [1, 1])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeError([Number.POSITIVE_INFINITY, 1], [1, 1])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeError([1], [1, 1])).toBe(Number.POSITIVE_INFINITY);
  });

  it('is taken over several tensors together', () => {
    expect(overAll([squares([1, 0], [0, 0]), squares([3], [4]), squares([0], [3])])).toBeCloseTo(Math.sqrt(11) / 5, 12);
  });
});

describe('checks', () => {
  it('report the worst of several tensors', () => {
    const tensors = [
      { name: 'a', ours: [1.1], theirs: [1] },
      { name: 'b', ours: [1.5], theirs: [1] },
      { name: 'c', ours: [1], theirs: [1] },
    ];
    const [check] = collected((checks) => checks.each('outputs', tensors, 0.4));
    expect(check).toMatchObject({ what: 'outputs (3)', note: 'worst: b', passed: false, bound: 0.4 });
    expect(check!.error).toBeCloseTo(0.5, 12);
  });

  it('fail on NaN wherever it stands', () => {
    for (const values of [
      [Number.NaN, 1],
      [1, Number.NaN],
    ]) {
      const tensors = values.map((v, i) => ({ name: `${i}`, ours: [v], theirs: [1] }));
      expect(collected((checks) => checks.each('x', tensors, 1))[0]!.passed).toBe(false);
    }
    expect(collected((checks) => checks.bounded('x', Number.NaN, 1))[0]!.passed).toBe(false);
  });

  it('fail when there is nothing to compare', () => {
    expect(collected((checks) => checks.each('nothing', [], 1))[0]!.passed).toBe(false);
  });

  it('pass at the bound, and p-values above it', () => {
    const passed = collected((checks) => {
      checks.bounded('at', 1, 1);
      checks.holds('yes', true);
      checks.holds('no', false);
      checks.atLeast('p', 0.002, 0.001);
      checks.atLeast('p', 0.001, 0.001);
    }).map((check) => check.passed);
    expect(passed).toEqual([true, true, false, true, false]);
  });
});
