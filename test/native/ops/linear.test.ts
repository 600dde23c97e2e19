import { describe, it } from 'vitest';
import type { DType } from '../../../lib/graph/graph.js';
import { linear } from '../../../lib/ops/linear.js';
import { checkKernel } from '../../support/nativeRun.js';

// Rows, in, out: sizes of 1, and none a multiple of a tile (14 or 6 rows, 16 columns, 256 products).
const SIZES = [
  [1, 1, 1],
  [2, 5, 3],
  [17, 33, 19],
  [77, 300, 45],
  [459, 20, 130],
] as const;

describe('linear', () => {
  for (const [rows, width, out] of SIZES) {
    it(`[${rows}, ${width}] to ${out}, trained weight`, () =>
      checkKernel({
        inputs: { x: [rows, width], w: [out, width], b: [out] },
        build: ({ x, w, b }) => linear(x!, w!, b!),
      }));

    for (const stored of ['f32', 'f16', 'bf16'] satisfies DType[]) {
      it(`[${rows}, ${width}] to ${out}, frozen ${stored} weight`, () =>
        checkKernel({
          inputs: { x: [1, rows, width], w: [out, width], b: [out] },
          weights: { w: stored },
          build: ({ x, w, b }) => linear(x!, w!, b!),
        }));
    }
  }

  it('goes without a bias', () =>
    checkKernel({ inputs: { x: [2, 3, 40], w: [24, 40] }, build: ({ x, w }) => linear(x!, w!, null) }));
});
