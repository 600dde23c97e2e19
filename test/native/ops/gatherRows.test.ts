import { test } from 'vitest';
import { gatherRows } from '../../../lib/ops/gatherRows.js';
import { checkKernel } from '../../support/nativeRun.js';

for (const [shape, values] of [
  [[1, 1, 1], [0]],
  [
    [3, 5, 7],
    [4, 0, 2],
  ],
  [
    [2, 77, 768],
    [76, 9],
  ],
] as const) {
  const index = { shape: [values.length], values, dtype: 'i32' as const };
  test(`gatherRows [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, fixed: { index }, tolerance: 0, build: (v) => gatherRows(v.x!, v.index!) }));
}
