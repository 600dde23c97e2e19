import { test } from 'vitest';
import { multiplyAdd } from '../../../lib/ops/multiplyAdd.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [[1], [7], [3, 5, 2], [40_000]]) {
  test(`multiplyAdd [${shape}]`, () =>
    checkKernel({
      inputs: { x: shape, y: shape, z: shape },
      tolerance: 2e-7,
      build: ({ x, y, z }) => multiplyAdd(x!, y!, z!),
    }));
}

test('multiplyAdd over each of its inputs', () =>
  checkKernel({
    inputs: { x: [33], y: [33], z: [33] },
    backward: false,
    build: ({ x, y, z }) => {
      const first = multiplyAdd(scale(x!, 2), y!, z!);
      const second = multiplyAdd(x!, first, z!);
      return scale(multiplyAdd(x!, y!, second), 2);
    },
  }));

test('multiplyAdd with one gradient alone', () =>
  checkKernel({
    inputs: { z: [9] },
    fixed: { x: { shape: [9], values: Array(9).fill(1) }, y: { shape: [9], values: [1, 2, 3, 4, 5, 6, 7, 8, 9] } },
    build: ({ x, y, z }) => multiplyAdd(x!, y!, z!),
  }));
