import { test } from 'vitest';
import { slice } from '../../../lib/ops/slice.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const [shape, start, end] of [
  [[1], 0, 1],
  [[3, 7], 2, 3],
  [[3, 7], 0, 5],
  [[2, 9, 300, 13], 4, 13],
] as const) {
  test(`slice [${shape}] from ${start} to ${end}`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 0, build: ({ x }) => slice(x!, { start, end }) }));
}
