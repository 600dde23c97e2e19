import { test } from 'vitest';
import { upsampleNearest } from '../../../lib/ops/upsampleNearest.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const [shape, height, width] of [
  [[1, 1, 1, 1], 1, 1],
  [[2, 3, 2, 5], 6, 4],
  [[1, 3, 5, 17], 7, 8],
  [[2, 5, 4, 3], 2, 3], // smaller: some pixels are read by none
  [[1, 16, 16, 64], 32, 32],
] as const) {
  test(`upsampleNearest [${shape}] to ${height} × ${width}`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 2e-7, build: ({ x }) => upsampleNearest(x!, { height, width }) }));
}
