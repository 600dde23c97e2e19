import { test } from 'vitest';
import { klDivergence } from '../../../lib/ops/klDivergence.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [[1], [3, 7], [2, 65, 65, 4]]) {
  test(`klDivergence [${shape}]`, () =>
    checkKernel({ inputs: { m: shape, v: shape }, tolerance: 3e-7, build: ({ m, v }) => klDivergence(m!, v!) }));
}

test('klDivergence with one gradient', () => {
  const fixed = { m: { shape: [5], values: [1, -2, 0, 0.5, 3] } };
  return checkKernel({ inputs: { v: [5] }, fixed, tolerance: 3e-7, build: ({ m, v }) => klDivergence(m!, v!) });
});
