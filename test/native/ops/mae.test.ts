import { test } from 'vitest';
import { mae } from '../../../lib/ops/mae.js';
import { checkKernel } from '../../support/checkKernel.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

for (const shape of [[1], [3, 7], [2, 65, 65, 4]]) {
  test(`mae [${shape}]`, () => {
    const random = pseudoRandom(9);
    const values = Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
    const fixed = { t: { shape, values } };
    return checkKernel({ inputs: { p: shape }, fixed, tolerance: 2e-7, build: ({ p, t }) => mae(p!, t!) });
  });
}

test('mae of what is equal', () => {
  const fixed = { p: { shape: [3], values: [1, 2, 3] }, t: { shape: [3], values: [1, 2, 3] } };
  return checkKernel({ inputs: {}, fixed, backward: false, build: ({ p, t }) => mae(p!, t!) });
});
