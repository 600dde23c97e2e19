import { test } from 'vitest';
import { mixPerSample } from '../../../lib/ops/mixPerSample.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

const coefficients = { a: { shape: [3], values: [0.25, -1.5, 2] }, b: { shape: [3], values: [3, 0, -0.7] } };

for (const shape of [
  [3, 1],
  [3, 7],
  [3, 65, 65, 4],
]) {
  test(`mixPerSample [${shape}]`, () =>
    checkKernel({
      inputs: { x: shape, y: shape },
      fixed: coefficients,
      tolerance: 2e-7,
      build: ({ x, y, a, b }) => mixPerSample(x!, y!, a!, b!),
    }));
}

test('mixPerSample over each of its inputs', () =>
  checkKernel({
    inputs: { x: [3, 11], y: [3, 11] },
    fixed: coefficients,
    backward: false,
    build: ({ x, y, a, b }) => scale(mixPerSample(x!, mixPerSample(scale(x!, 2), y!, a!, b!), b!, a!), 2),
  }));
