import { describe, expect, it } from 'vitest';
import { createGraph, type DType, input, result, weight } from '../../../lib/graph/graph.js';
import { type Conv2dOptions, conv2d } from '../../../lib/ops/conv2d.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

interface Size {
  x: readonly [number, number, number, number];
  /** [out, window rows, window columns] */
  w: readonly [number, number, number];
  options: Conv2dOptions;
}

const SIZES: Record<string, Size> = {
  'one pixel': { x: [1, 1, 1, 1], w: [1, 1, 1], options: {} },
  '1x1': { x: [2, 3, 5, 20], w: [17, 1, 1], options: {} },
  '1x1 with stride 2': { x: [1, 5, 4, 3], w: [18, 1, 1], options: { stride: 2 } },
  '1x1 of 32 pixels': { x: [2, 4, 4, 130], w: [39, 1, 1], options: {} },
  'stride 2, 64 pixels a residue': { x: [1, 16, 16, 20], w: [112, 3, 3], options: { stride: 2, pad: 1 } },
  '3x3 with padding': { x: [2, 5, 7, 33], w: [35, 3, 3], options: { pad: 1 } },
  '3x3 on one pixel': { x: [3, 1, 1, 16], w: [16, 3, 3], options: { pad: 1 } },
  'stride 2 with padding': { x: [1, 9, 7, 12], w: [20, 3, 3], options: { stride: 2, pad: 1 } },
  'stride 2 padded at bottom and right': { x: [2, 8, 6, 5], w: [7, 3, 3], options: { stride: 2, pad: [0, 0, 1, 1] } },
  'no padding, 2x4 window': { x: [1, 6, 9, 4], w: [3, 2, 4], options: {} },
  'padding wider than the window': { x: [1, 3, 2, 4], w: [5, 2, 2], options: { pad: [2, 3, 1, 4] } },
  'stride 3 that leaves pixels unread': { x: [1, 8, 8, 4], w: [6, 2, 2], options: { stride: 3 } },
  'more than one block of rows and of products': { x: [1, 20, 14, 80], w: [80, 3, 3], options: { pad: 1 } },
  '3x3 on several pictures with odd sides': { x: [3, 7, 9, 33], w: [35, 3, 3], options: { pad: 1 } },
  '3x3 on one row': { x: [2, 1, 40, 17], w: [18, 3, 3], options: { pad: 1 } },
  '3x3 padded unevenly': { x: [1, 8, 8, 16], w: [18, 3, 3], options: { pad: [1, 1, 1, 2] } },
  '3x3 with more than one block of channels': { x: [1, 7, 12, 112], w: [24, 3, 3], options: { pad: 1 } },
  '3x3 with more than one group of outputs': { x: [1, 6, 6, 20], w: [470, 3, 3], options: { pad: 1 } },
  'one gathering for three rows of taps': { x: [1, 20, 14, 208], w: [40, 3, 3], options: { pad: 1 } },
  'one gathering for two rows of taps, two blocks': {
    x: [2, 6, 9, 200],
    w: [17, 2, 5],
    options: { pad: [2, 1, 0, 3] },
  },
  'rows of taps of pictures that share a block': { x: [3, 5, 7, 208], w: [24, 3, 3], options: { pad: 1 } },
  'one gathering for three rows of taps in its gradient': { x: [1, 6, 8, 24], w: [208, 3, 3], options: { pad: 1 } },
  'stride 2 with rows of taps in its gradient': { x: [1, 11, 13, 8], w: [320, 3, 3], options: { stride: 2, pad: 1 } },
  '3x3 with a few tiles for its weight gradient': { x: [1, 17, 16, 18], w: [17, 3, 3], options: { pad: 1 } },
  '3x3 with slices of tiles': { x: [3, 31, 33, 20], w: [33, 3, 3], options: { pad: 1 } },
  '3x3 with blocks of outputs and channels': { x: [2, 15, 14, 100], w: [130, 3, 3], options: { pad: 1 } },
};

describe('conv2d', () => {
  for (const [name, { x, w, options }] of Object.entries(SIZES)) {
    const inputs = { x, w: [...w, x[3]], b: [w[0]] };

    it(`${name}, trained weight`, () => checkKernel({ inputs, build: ({ x, w, b }) => conv2d(x!, w!, b!, options) }));

    for (const stored of ['f32', 'f16', 'bf16'] satisfies DType[]) {
      it(`${name}, frozen ${stored} weight`, () =>
        checkKernel({ inputs, weights: { w: stored }, build: ({ x, w, b }) => conv2d(x!, w!, b!, options) }));
    }
  }

  it('gives the same bits for any number of threads, however tiles lie on pictures', async () => {
    const random = pseudoRandom(5);
    const normals = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.normal());
    const graph = createGraph();
    const x = input(graph, 'x', [2, 21, 14, 320]);
    const w = weight(graph, 'w', [72, 3, 2, 320], 'f16');
    const b = weight(graph, 'b', [72], 'f32');
    result(graph, 'y', conv2d(x, w, b, { pad: [1, 0, 1, 1] }));
    const leaves = new Map([
      [x, normals(2 * 21 * 14 * 320)],
      [w, normals(72 * 3 * 2 * 320)],
      [b, normals(72)],
    ]);
    const one = (await runNative(graph, leaves, { threads: 1 })).get('y')!;
    for (const threads of [2, 3, 5]) {
      const several = (await runNative(graph, leaves, { threads })).get('y')!;
      expect(Buffer.from(several.buffer).equals(Buffer.from(one.buffer)), `${threads} threads`).toBe(true);
    }
  });
});
