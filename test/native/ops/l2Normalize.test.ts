import { test } from 'vitest';
import { l2Normalize } from '../../../lib/ops/l2Normalize.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const shape of [[3], [3, 7], [2, 33, 65], [1000, 128]]) {
  test(`l2Normalize [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, tolerance: 5e-7, build: ({ x }) => l2Normalize(x!) }));
}

test.each([true, false])('l2Normalize over its input, backward %s', (backward) =>
  checkKernel({
    inputs: { x: [5, 33] },
    backward,
    tolerance: 5e-7,
    build: ({ x }) => scale(l2Normalize(scale(x!, 2), { eps: 0.1 }), 0.5),
  }),
);
