import { describe, expect, it } from 'vitest';
import { type Measured, together } from '../../bench/ops/measure.js';
import { gates, missesGate, type Row, rowOf } from '../../bench/ops/report.js';
import type { Trial } from '../../bench/ops/trial.js';

const FLOPS = 2e7;

function product(name: string, seconds: Measured['seconds'], flops = FLOPS): Measured {
  return { trial: { group: 'gemm', name, flops } as Trial, seconds, peak: 1e11 };
}

const row = (name: string, tlora: number, openblas: number, flops?: number): Row =>
  rowOf(product(name, { tlora: [tlora], openblas: [openblas] }, flops));

describe('rowOf', () => {
  it('compares the best turns', () => {
    const { best, median, ratio } = rowOf(product('a', { tlora: [4, 2, 6], openblas: [3, 5, 9] }));
    expect(best).toEqual({ tlora: 2, openblas: 3 });
    expect(median).toEqual({ tlora: 4, openblas: 5 });
    expect(ratio).toEqual({ openblas: 1.5 });
  });
});

describe('gates', () => {
  it('name the shapes that miss one', () => {
    const [each, mean] = gates([row('fast', 1, 2), row('slow', 1, 0.8)]);
    expect(each).toMatchObject({ passed: false });
    expect(each!.text).toContain('lowest of 2 is 0.80\n       0.80  slow');
    expect(mean).toMatchObject({ passed: true });
    expect(mean!.text).toContain('1.265');
  });

  it('fail by their mean alone', () => {
    const [each, mean] = gates([row('a', 1, 0.95), row('b', 1, 0.96)]);
    expect([each!.passed, mean!.passed]).toEqual([true, false]);
  });

  it('leave small products out', () => {
    expect(gates([row('small', 1, 0.1, 1e6)])).toEqual([]);
  });
});

describe('missesGate', () => {
  it('is of one shape', () => {
    expect(missesGate(row('slow', 1, 0.89))).toBe(true);
    expect(missesGate(row('near', 1, 0.91))).toBe(false);
    expect(missesGate(row('small', 1, 0.1, 1e6))).toBe(false);
  });

  it('needs the opponent of the gate', () => {
    expect(missesGate(rowOf(product('alone', { tlora: [1] })))).toBe(false);
  });
});

describe('together', () => {
  it('counts the turns of both', () => {
    const both = together(product('a', { tlora: [4], openblas: [3] }), {
      ...product('a', { tlora: [2], openblas: [5] }),
      peak: 2e11,
    });
    expect(both.seconds).toEqual({ tlora: [4, 2], openblas: [3, 5] });
    expect(both.peak).toBe(2e11);
    expect(rowOf(both).ratio).toEqual({ openblas: 1.5 });
  });
});
