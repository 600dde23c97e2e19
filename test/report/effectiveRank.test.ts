import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { effectiveRank, layerGroup, productSingularValues } from '../../lib/report/effectiveRank.js';
import { symmetricEigenvalues } from '../../lib/report/symmetricEigenvalues.js';

/** Rows of numbers that follow from a seed, without any pattern. */
function matrix(rows: number, columns: number, seed: number): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * (seed + 1)) * 3);
}

function gramOf(a: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) for (let k = 0; k < n; k++) out[i * n + j]! += a[i * n + k]! * a[j * n + k]!;
  return out;
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe('symmetricEigenvalues', () => {
  it('knows small cases', () => {
    expect([...symmetricEigenvalues(Float64Array.of(7), 1)]).toEqual([7]);
    const pair = symmetricEigenvalues(Float64Array.of(2, 1, 1, 2), 2);
    expect(pair[0]).toBeCloseTo(3, 13);
    expect(pair[1]).toBeCloseTo(1, 13);
    expect([...symmetricEigenvalues(new Float64Array(9), 3)]).toEqual([0, 0, 0]);
    const diagonal = symmetricEigenvalues(Float64Array.of(1, 0, 0, 0, -5, 0, 0, 0, 3), 3);
    expect([...diagonal].map((value) => Number(value.toFixed(12)))).toEqual([3, 1, -5]);
  });

  it('knows the second difference, whose eigenvalues are 2 − 2 cos(kπ/(n+1))', () => {
    const n = 40;
    const a = Float64Array.from({ length: n * n }, (_, at) => {
      const apart = Math.abs(Math.floor(at / n) - (at % n));
      return apart === 0 ? 2 : apart === 1 ? -1 : 0;
    });
    const expected = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1))).reverse();
    symmetricEigenvalues(a, n).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 12);
    });
  });

  it('keeps trace and squares of any matrix', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 24 }), fc.nat(1000), (n, seed) => {
        const a = gramOf(matrix(n, n, seed), n);
        const values = symmetricEigenvalues(a, n);
        const trace = sum(Array.from({ length: n }, (_, i) => a[i * n + i]!));
        expect(sum(values) / trace).toBeCloseTo(1, 12);
        expect(sum(values.map((v) => v * v)) / sum(a.map((v) => v * v))).toBeCloseTo(1, 12);
        for (let i = 1; i < n; i++) expect(values[i]!).toBeLessThanOrEqual(values[i - 1]!);
      }),
      { numRuns: 30 },
    );
  });
});

describe('productSingularValues', () => {
  it('gives those of a product with known directions', () => {
    // Rows e1, e2 of length 5 times 3 and 0.5, and rows e3, e1 of length 4 times 2 and 1.
    const u = { rows: 2, columns: 5, values: Float64Array.of(3, 0, 0, 0, 0, 0, 0.5, 0, 0, 0) };
    const d = { rows: 2, columns: 4, values: Float64Array.of(0, 0, 2, 0, 1, 0, 0, 0) };
    const [first, second] = productSingularValues(u, d);
    expect(first).toBeCloseTo(6, 12);
    expect(second).toBeCloseTo(0.5, 12);
  });

  it('has the squares of the product, also when rows depend on each other', () => {
    const [k, m, n] = [6, 9, 7];
    const values = matrix(k, m, 1);
    values.set(values.subarray(0, m), 3 * m); // row 3 is row 0
    const u = { rows: k, columns: m, values };
    const d = { rows: k, columns: n, values: matrix(k, n, 2) };
    let squares = 0;
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++)
        squares += sum(Array.from({ length: k }, (_, r) => values[r * m + i]! * d.values[r * n + j]!)) ** 2;
    const singular = productSingularValues(u, d);
    expect(sum(singular.map((s) => s * s)) / squares).toBeCloseTo(1, 10);
    expect(singular[5]! / singular[0]!).toBeLessThan(1e-6);
  });
});

describe('effectiveRank', () => {
  it('is k for k equal values, and 1 for one', () => {
    for (const k of [1, 2, 7]) {
      const { entropy, participation, share95 } = effectiveRank(Float64Array.of(...Array<number>(k).fill(3), 0, 0));
      expect(entropy).toBeCloseTo(k, 12);
      expect(participation).toBeCloseTo(k, 12);
      expect(share95).toBe(k);
    }
  });

  it('is 0 for no change, and between for uneven values', () => {
    expect(effectiveRank(new Float64Array(3))).toEqual({ entropy: 0, participation: 0, share95: 0 });
    const { entropy, participation } = effectiveRank(Float64Array.of(4, 1));
    expect(entropy).toBeCloseTo(5 / 4 ** 0.8, 12);
    expect(participation).toBeCloseTo(289 / 257, 12);
  });
});

it('layerGroup names what a layer does', () => {
  expect(layerGroup('mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0')).toBe('cross out');
  expect(layerGroup('down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k')).toBe('self k');
  expect(layerGroup('proj_in')).toBe('other');
});
