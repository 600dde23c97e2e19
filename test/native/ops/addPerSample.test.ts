import { test } from 'vitest';
import { addPerSample } from '../../../lib/ops/addPerSample.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [
  [1, 1],
  [3, 7],
  [2, 5, 3, 9],
  [2, 33, 17, 40],
  [1, 2, 2, 1280],
]) {
  test(`addPerSample [${shape}], and sumPerSample in its gradient`, () =>
    checkKernel({
      inputs: { x: shape, y: [shape[0]!, shape.at(-1)!] },
      tolerance: 3e-7,
      build: ({ x, y }) => addPerSample(x!, y!),
    }));
}

test('addPerSample over its input', () =>
  checkKernel({ inputs: { x: [2, 3, 5], y: [2, 5] }, build: ({ x, y }) => scale(addPerSample(scale(x!, 2), y!), 2) }));
