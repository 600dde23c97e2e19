import { test } from 'vitest';
import { concat } from '../../../lib/ops/concat.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const [a, b] of [
  [[1], [1]],
  [
    [3, 7],
    [3, 2],
  ],
  [
    [2, 9, 11, 320],
    [2, 9, 11, 640],
  ],
] as const) {
  test(`concat [${a}], [${b}], and slice in its gradient`, () =>
    checkKernel({ inputs: { a, b }, tolerance: 0, build: (v) => concat(v.a!, v.b!) }));
}
