import { test } from 'vitest';
import { scale } from '../../../lib/ops/scale.js';
import { silu } from '../../../lib/ops/silu.js';
import { checkKernel } from '../../support/checkKernel.js';

// Slopes take up to eight roundings of 6e-8 each, and their terms cancel in part.
const tolerance = 5e-7;

for (const shape of [[1], [7], [3, 5, 2], [40_000]]) {
  test(`silu [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, spread: 3, tolerance, build: ({ x }) => silu(x!) }));
}

test('silu far from 0', () =>
  checkKernel({ inputs: { x: [1000] }, spread: 50, tolerance, build: ({ x }) => silu(x!) }));

test.each([true, false])('silu over its input, backward %s', (backward) =>
  checkKernel({ inputs: { x: [33] }, backward, build: ({ x }) => scale(silu(scale(x!, 2)), 0.5) }),
);
