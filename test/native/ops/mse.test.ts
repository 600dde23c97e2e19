import { test } from 'vitest';
import { mse } from '../../../lib/ops/mse.js';
import { checkKernel } from '../../support/checkKernel.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

for (const shape of [
  [1, 1],
  [3, 7],
  [2, 65, 65, 4],
]) {
  test(`mse [${shape}]`, () => {
    const random = pseudoRandom(9);
    const values = Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
    return checkKernel({
      inputs: { p: shape },
      fixed: { t: { shape, values } },
      tolerance: 2e-7,
      build: ({ p, t }) => {
        const { loss, perSample } = mse(p!, t!);
        return [loss, perSample];
      },
    });
  });
}
