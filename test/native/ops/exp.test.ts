import { test } from 'vitest';
import { exp } from '../../../lib/ops/exp.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [[1], [7], [3, 5, 2], [40_000]]) {
  test(`exp [${shape}]`, () => checkKernel({ inputs: { x: shape }, tolerance: 5e-7, build: ({ x }) => exp(x!) }));
}

test('exp over its input', () =>
  checkKernel({ inputs: { x: [33] }, tolerance: 5e-7, build: ({ x }) => scale(exp(scale(x!, 2)), 0.5) }));
