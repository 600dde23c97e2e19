import { describe, expect, it } from 'vitest';
import { createGraph, type DType, input, result, weight } from '../../../lib/graph/graph.js';
import { linear } from '../../../lib/ops/linear.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

// Rows, in, out: sizes of 1, and few a multiple of a tile (14 or 6 rows, 16 columns) or a block (256 rows, 640 products); 32
// and 64 rows have a gradient of their own, 16-bit weights of whole 16 x 16 blocks are turned as they are, and rows are copied where 512 divides their length.
const SIZES = [
  [1, 1, 1],
  [2, 5, 3],
  [17, 33, 19],
  [32, 150, 45],
  [64, 250, 401],
  [40, 64, 672],
  [77, 700, 45],
  [30, 1024, 35],
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

  it('adds a float32 bias to rows of any type', () =>
    checkKernel({
      inputs: { x: [37, 40], w: [24, 40], b: [24] },
      float32: ['b'],
      build: ({ x, w, b }) => linear(x!, w!, b!),
    }));

  it.runIf(onCuda)('gives the bits of a bias in the type of the rows for a float32 one', async () => {
    const random = pseudoRandom(4);
    const normals = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.normal());
    const [rows, matrix, vector] = [normals(37 * 40), normals(24 * 40), normals(24)];
    for (const compute of ['bf16', 'f16'] as const) {
      const run = (biasType: DType): ReturnType<typeof runNative> => {
        const graph = createGraph();
        const x = input(graph, 'x', [37, 40], compute);
        const w = weight(graph, 'w', [24, 40], compute);
        const b = weight(graph, 'b', [24], biasType);
        result(graph, 'y', linear(x, w, b));
        const leaves = new Map([
          [x, rows],
          [w, matrix],
          [b, Float64Array.from(Float32Array.from(vector))],
        ]);
        return runNative(graph, leaves);
      };
      expect(await run('f32')).toEqual(await run(compute));
    }
  });

  it('goes without a bias', () =>
    checkKernel({ inputs: { x: [2, 3, 40], w: [24, 40] }, build: ({ x, w }) => linear(x!, w!, null) }));

  it('gives the same bits for any number of threads', async () => {
    const random = pseudoRandom(3);
    const normals = (count: number): Float64Array => Float64Array.from({ length: count }, () => random.normal());
    const graph = createGraph();
    const x = input(graph, 'x', [500, 410]);
    const w = weight(graph, 'w', [300, 410], 'f32');
    result(graph, 'y', linear(x, w, null));
    const leaves = new Map([
      [x, normals(500 * 410)],
      [w, normals(300 * 410)],
    ]);
    const one = (await runNative(graph, leaves, { threads: 1 })).get('y')!;
    for (const threads of [2, 3, 5]) {
      const several = (await runNative(graph, leaves, { threads })).get('y')!;
      expect(Buffer.from(several.buffer).equals(Buffer.from(one.buffer)), `${threads} threads`).toBe(true);
    }
  });
});
