import { test } from 'vitest';
import { geglu } from '../../../lib/ops/geglu.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

// Slopes take up to eight roundings of 6e-8 each, and their terms cancel in part.
const tolerance = 5e-7;

for (const shape of [[2], [3, 14], [2, 5, 64], [1, 70, 1280]]) {
  test(`geglu [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, spread: 2, tolerance, build: ({ x }) => geglu(x!) }));
}

test('the gradient of geglu over its input', () =>
  checkKernel({ inputs: { x: [3, 38] }, build: ({ x }) => scale(geglu(scale(x!, 2)), 0.5) }));
