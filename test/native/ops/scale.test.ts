import { test } from 'vitest';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [[1], [7], [3, 5, 2], [40_000]]) {
  test(`scale [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 2e-7, build: ({ x }) => scale(x!, 0.18215) }));
}

test('scale over its input', () =>
  checkKernel({ inputs: { x: [33] }, build: ({ x }) => scale(scale(scale(x!, 2), 3), 0.5) }));
