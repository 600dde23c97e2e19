import { test } from 'vitest';
import { sumSamples } from '../../../lib/ops/sumSamples.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [
  [1, 1, 1],
  [9, 5, 13],
  [70, 1, 65],
]) {
  test(`sumSamples [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 1e-7, build: ({ x }) => sumSamples(x!) }));
}
