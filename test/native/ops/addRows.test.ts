import { test } from 'vitest';
import { addRows } from '../../../lib/ops/addRows.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const [n, t, c] of [
  [1, 1, 1],
  [3, 2, 7],
  [2, 77, 768],
] as const) {
  test(`addRows [${n}, ${t}, ${c}], and sumSamples in its gradient`, () =>
    checkKernel({ inputs: { x: [n, t, c], p: [t, c] }, tolerance: 2e-7, build: ({ x, p }) => addRows(x!, p!) }));
}

test('addRows over its input', () =>
  checkKernel({ inputs: { x: [2, 3, 5], p: [3, 5] }, build: ({ x, p }) => scale(addRows(scale(x!, 2), p!), 2) }));
