import { test } from 'vitest';
import { softmaxCrossEntropy } from '../../../lib/ops/softmaxCrossEntropy.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const [n, c, spread] of [
  [1, 1, 1],
  [3, 7, 1],
  [65, 24, 20],
  [300, 301, 3],
] as const) {
  test(`softmaxCrossEntropy [${n}, ${c}], spread ${spread}`, () => {
    const values = Array.from({ length: n }, (_, i) => (i * 5) % c);
    return checkKernel({
      inputs: { x: [n, c] },
      fixed: { labels: { shape: [n], values, dtype: 'i32' } },
      spread,
      half: false,
      build: ({ x, labels }) => {
        const { loss, perSample } = softmaxCrossEntropy(x!, labels!);
        return [loss, perSample];
      },
    });
  });
}
