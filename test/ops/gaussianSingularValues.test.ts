import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { firstOfRange, gaussianSingularValues, type SingularRange } from '../../lib/ops/gaussianSingularValues.js';
import { drawKey } from '../../lib/random/philox.js';
import { evaluate } from '../support/evaluate.js';

const keys = { shape: [2, 4], values: [...drawKey('starts', 1, 2), ...drawKey('starts', 1, 3)], dtype: 'i32' as const };

function draw(which: SingularRange, rank: number, std = 1, [rows, cols] = [7, 5]): number[] {
  const matrix = { rows: rows!, cols: cols!, rank, which, std };
  return evaluate({ keys }, ({ keys }) => gaussianSingularValues(keys!, matrix))[0]!;
}

describe('gaussianSingularValues', () => {
  it('gives descending ranges of one set of values for each key', () => {
    const all = draw('last', 5);
    for (const at of [0, 5]) {
      const set = all.slice(at, at + 5);
      expect(set).toEqual([...set].sort((a, b) => b - a));
      expect(Math.min(...set)).toBeGreaterThan(0);
      const row = (values: number[]): number[] => values.slice((at / 5) * 2, (at / 5) * 2 + 2);
      expect(row(draw('principal', 2))).toEqual(set.slice(0, 2));
      expect(row(draw('middle', 2))).toEqual(set.slice(2, 4));
      expect(row(draw('last', 2))).toEqual(set.slice(3));
    }
    expect(all.slice(0, 5)).not.toEqual(all.slice(5));
  });

  it('scales with the standard deviation and does not mind the orientation', () => {
    expect(draw('last', 3, 0.5)).toEqual(draw('last', 3).map((v) => v / 2));
    expect(draw('last', 3, 1, [5, 7])).toEqual(draw('last', 3));
  });

  it('has the sum of squares of a Gaussian matrix: n·m on average', () => {
    const values = Array.from({ length: 400 }, (_, i) => drawKey('starts', 5, i)).flat();
    const given = { keys: { shape: [400, 4], values, dtype: 'i32' as const } };
    const matrix = { rows: 4, cols: 3, rank: 3, which: 'last' as const, std: 1 };
    const [all] = evaluate(given, ({ keys }) => gaussianSingularValues(keys!, matrix));
    const mean = all!.reduce((sum, v) => sum + v * v, 0) / 400;
    expect(Math.abs(mean - 12)).toBeLessThan((4 * Math.sqrt(24)) / 20);
  });

  it('takes the upper of two middles, and refuses a rank above the smaller side', () => {
    expect(firstOfRange('middle', 7, 4)).toBe(2);
    const key = input(createGraph(), 'key', [4], 'i32');
    const matrix = { rows: 7, cols: 5, rank: 6, which: 'last' as const, std: 1 };
    expect(() => gaussianSingularValues(key, matrix)).toThrow('rank: expected 1 to 5, got 6');
  });
});
