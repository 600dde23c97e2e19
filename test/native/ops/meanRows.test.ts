import { test } from 'vitest';
import { meanRows } from '../../../lib/ops/meanRows.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [
  [1, 1, 1],
  [3, 5, 7],
  [2, 33, 9, 65],
  [5, 1000, 130],
]) {
  test(`meanRows [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 3e-7, build: ({ x }) => meanRows(x!) }));
}
