import { test } from 'vitest';
import { sumPerSample } from '../../../lib/ops/sumPerSample.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [
  [1, 1],
  [4, 3],
  [2, 1000, 1],
  [2, 63, 65, 13],
  [1, 9, 2560],
]) {
  test(`sumPerSample [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 3e-7, build: ({ x }) => sumPerSample(x!) }));
}
