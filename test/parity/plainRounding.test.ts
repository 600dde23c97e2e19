import { expect, test } from 'vitest';
import { type Check, checksOf } from './checks.js';
import { besidePlain } from './plainRounding.js';

const plain = new Map([
  ['out (1)', 1e-2],
  ['loss (1)', 1e-6],
  ['encoded (1)', 1e-7],
]);

function judged(what: string, errors: number[], bound: number, like?: string): Check {
  const all: Check[] = [];
  const tensors = errors.map((e, i) => ({ name: `${i}`, ours: [1 + e], theirs: [1] }));
  const judging = besidePlain(plain, (b) => 3 * b);
  checksOf('case', (check) => void all.push(check), judging).each(what, tensors, bound, like);
  return all[0]!;
}

test('errors may be twice those of plain rounding, of several tensors in the mean of squares', () => {
  expect(judged('out', [0.019], 1e-5)).toMatchObject({ passed: true, bound: 2e-2 });
  expect(judged('out', [0.021], 1e-5).passed).toBe(false);
  plain.set('out (4)', 1e-2);
  expect(judged('out', [0.035, 0, 0, 0], 1e-5).passed).toBe(true);
  expect(judged('out', [0.045, 0, 0, 0], 1e-5).passed).toBe(false);
});

test('a single number that was lucky shares the error of what it comes from', () => {
  expect(judged('loss', [1e-3], 1e-5).passed).toBe(false);
  expect(judged('loss', [1e-3], 1e-5, 'out (1)').passed).toBe(true);
});

test('what is exact stays so, float32 keeps its bound, and what plain rounding was not asked for passes nothing', () => {
  expect(judged('out', [1e-12], 0).passed).toBe(false);
  expect(judged('encoded', [2e-5], 1e-5)).toMatchObject({ passed: true });
  expect(judged('encoded', [4e-5], 1e-5).passed).toBe(false);
  expect(judged('unknown', [0], 1e-5).passed).toBe(false);
});
