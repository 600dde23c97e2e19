import { describe, expect, it } from 'vitest';
import { createGraph, type DType, elements, input, result, type Value } from '../../../lib/graph/graph.js';
import { add } from '../../../lib/ops/add.js';
import { linear } from '../../../lib/ops/linear.js';
import { linearResidual } from '../../../lib/ops/linearResidual.js';
import { scale } from '../../../lib/ops/scale.js';
import { lifetimes } from '../../../lib/plan/lifetimes.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

// Rows, in, out
const SIZES = [
  [1, 1, 1],
  [2, 5, 3],
  [17, 33, 19],
  [64, 256, 40],
  [77, 700, 45],
] as const;

/** y and x's gradient of what is computed before, and dies with them or is read once more; whether they lie over it. */
async function run(compute: DType, readAgain: boolean): Promise<{ values: Float32Array[]; inPlace: boolean[] }> {
  const random = pseudoRandom(6);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const make = (name: string, ...shape: number[]): Value => {
    const value = input(graph, name, shape, compute);
    const zero = name.startsWith('zero');
    leaves.set(
      value,
      Float64Array.from({ length: elements(shape) }, () => (zero ? 0 : random.normal())),
    );
    return value;
  };
  const residual = scale(make('r', 37, 24), 2);
  const x = make('x', 37, 40);
  const y = linearResidual(x, make('w', 24, 40), make('b', 24), residual);
  result(graph, 'y', add(y, make('zero', 37, 24)));
  const [dx] = grad(add(y, linear(x, make('v', 24, 40), null)), make('dy', 37, 24), [x]);
  const [, , through] = dx!.node!.inputs;
  result(graph, 'dx', add(dx!, make('zero of x', 37, 40)));
  if (readAgain) for (const value of [residual, through!]) result(graph, `${value.name} again`, scale(value, 1));
  const { storageOf } = lifetimes(graph);
  const inPlace = [storageOf.get(y) === storageOf.get(residual), storageOf.get(dx!) === storageOf.get(through!)];
  const got = await runNative(graph, leaves);
  return { values: [got.get('y')!, got.get('dx')!], inPlace };
}

describe.runIf(onCuda)('linearResidual', () => {
  for (const [rows, width, out] of SIZES) {
    it(`[${rows}, ${width}] to ${out}, trained weight`, () =>
      checkKernel({
        inputs: { x: [rows, width], w: [out, width], b: [out], r: [rows, out] },
        build: ({ x, w, b, r }) => linearResidual(x!, w!, b!, r!),
      }));

    it(`[${rows}, ${width}] to ${out}, x’s gradient from elsewhere`, () =>
      checkKernel({
        inputs: { x: [rows, width], w: [out, width], v: [out, width], r: [rows, out] },
        weights: { w: 'f32', v: 'f32' },
        build: ({ x, w, v, r }) => add(linearResidual(x!, w!, null, r!), linear(x!, v!, null)),
      }));

    it(`[1, ${rows}, ${width}] to ${out}, frozen weight, no bias`, () =>
      checkKernel({
        inputs: { x: [1, rows, width], w: [out, width], r: [1, rows, out] },
        weights: { w: 'f32' },
        build: ({ x, w, r }) => linearResidual(x!, w!, null, r!),
      }));
  }

  it('adds a float32 bias to rows of any type', () =>
    checkKernel({
      inputs: { x: [37, 40], w: [24, 40], b: [24], r: [37, 24] },
      float32: ['b'],
      build: ({ x, w, b, r }) => linearResidual(x!, w!, b!, r!),
    }));

  it('takes its own input as residual', () =>
    checkKernel({
      inputs: { x: [37, 40], w: [40, 40], b: [40] },
      build: ({ x, w, b }) => linearResidual(x!, w!, b!, x!),
    }));

  it.each(['f32', 'bf16', 'f16'] as const)(
    'gives the same where it is written over what it adds, in %s',
    async (type) => {
      const [over, beside] = [await run(type, false), await run(type, true)];
      expect([over.inPlace, beside.inPlace]).toEqual([
        [true, true],
        [false, false],
      ]);
      expect(over.values).toEqual(beside.values);
      for (const values of over.values) expect(values.some((value) => value !== 0)).toBe(true);
    },
  );
});
