import { describe, expect, it } from 'vitest';
import { loadAddon } from '../../../lib/addon/load.js';
import { createGraph, type DType, elements, input, result, type Value } from '../../../lib/graph/graph.js';
import { type Conv2dOptions, conv2d } from '../../../lib/ops/conv2d.js';
import { conv2dResidual } from '../../../lib/ops/conv2dResidual.js';
import { scale } from '../../../lib/ops/scale.js';
import { encodePlan } from '../../../lib/plan/encode.js';
import { lifetimes } from '../../../lib/plan/lifetimes.js';
import { makePlan } from '../../../lib/plan/makePlan.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative, testDevice, testTarget } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

interface Size {
  x: readonly [number, number, number, number];
  /** [out, window rows, window columns] */
  w: readonly [number, number, number];
  /** Of the result. */
  y: readonly [number, number, number, number];
  options: Conv2dOptions;
}

const SIZES: Record<string, Size> = {
  'one pixel': { x: [1, 1, 1, 1], w: [1, 1, 1], y: [1, 1, 1, 1], options: {} },
  '1x1': { x: [2, 3, 5, 20], w: [17, 1, 1], y: [2, 3, 5, 17], options: {} },
  '3x3 with padding': { x: [2, 5, 7, 33], w: [35, 3, 3], y: [2, 5, 7, 35], options: { pad: 1 } },
  '3x3 with stride 2': { x: [1, 9, 7, 12], w: [20, 3, 3], y: [1, 5, 4, 20], options: { stride: 2, pad: 1 } },
  '1x1 with stride 2': { x: [1, 5, 4, 3], w: [18, 1, 1], y: [1, 3, 2, 18], options: { stride: 2 } },
};

describe.runIf(onCuda)('conv2dResidual', () => {
  for (const [name, { x, w, y, options }] of Object.entries(SIZES)) {
    const inputs = { x, w: [...w, x[3]], b: [w[0]], r: y };

    it(`${name}, trained weight`, () =>
      checkKernel({ inputs, build: ({ x, w, b, r }) => conv2dResidual(x!, w!, b!, r!, options) }));

    it(`${name}, frozen weight`, () =>
      checkKernel({
        inputs,
        weights: { w: 'f32' },
        build: ({ x, w, b, r }) => conv2dResidual(x!, w!, b!, r!, options),
      }));
  }

  it.each([1, 3])('goes without a bias, of %i × %i', (side) =>
    checkKernel({
      inputs: { x: [2, 4, 5, 20], w: [24, side, side, 20], r: [2, 4, 5, 24] },
      build: ({ x, w, r }) => conv2dResidual(x!, w!, null, r!, { pad: (side - 1) / 2 }),
    }),
  );

  it('adds a float32 bias to pictures of any type', () =>
    checkKernel({
      inputs: { x: [1, 4, 5, 20], w: [24, 3, 3, 20], b: [24], r: [1, 4, 5, 24] },
      float32: ['b'],
      build: ({ x, w, b, r }) => conv2dResidual(x!, w!, b!, r!, { pad: 1 }),
    }));

  it('takes its own input as residual', () =>
    checkKernel({
      inputs: { x: [1, 4, 5, 24], w: [24, 3, 3, 24], b: [24] },
      build: ({ x, w, b }) => conv2dResidual(x!, w!, b!, x!, { pad: 1 }),
    }));

  it.each<[DType, number]>([
    ['f32', 1],
    ['bf16', 3],
  ])('lies beside its residual where that dies with it, and adds nothing of zeros: %s, side %i', async (type, side) => {
    const random = pseudoRandom(8);
    const graph = createGraph();
    const leaves = new Map<Value, Float64Array>();
    const make = (name: string, shape: number[], spread = 1): Value => {
      const value = input(graph, name, shape, type);
      const data = Float64Array.from({ length: elements(shape) }, () => spread * random.normal());
      leaves.set(value, data);
      return value;
    };
    const [x, w, b] = [make('x', [1, 4, 5, 24]), make('w', [24, side, side, 24]), make('b', [24])];
    const options = { pad: (side - 1) / 2 };
    const residual = scale(make('zero', [1, 4, 5, 24], 0), 2);
    const y = conv2dResidual(x, w, b, residual, options);
    const { storageOf } = lifetimes({ ...graph, results: new Map([['y', scale(y, 1)]]) });
    expect(storageOf.get(y)).not.toBe(storageOf.get(residual));
    result(graph, 'sum', y);
    result(graph, 'plain', conv2d(x, w, b, options));
    const got = await runNative(graph, leaves);
    expect(got.get('sum')!.some((value) => value !== 0)).toBe(true);
    expect(got.get('sum')).toEqual(got.get('plain'));
  });

  it('is refused in a plan whose window does not give its result', () => {
    const graph = createGraph();
    const given = (name: string, shape: number[]): Value => input(graph, name, shape);
    const [x, w, r] = [given('x', [1, 6, 6, 4]), given('w', [2, 3, 3, 4]), given('r', [1, 6, 6, 2])];
    result(graph, 'y', conv2dResidual(x, w, null, r, { pad: 1 }));
    const plan = makePlan(graph, testTarget(1));
    const call = plan.calls[0]!;
    plan.calls[0] = { ...call, node: { ...call.node, attrs: { ...call.node.attrs, padTop: 0 } } };
    const engine = loadAddon().createEngine({ threads: 1, device: testDevice() });
    try {
      const message = '[conv2dResidual] sizes of y are not those of x, window, stride and padding (at the top level)';
      expect(() => engine.load(encodePlan(plan))).toThrow(message);
    } finally {
      engine.dispose();
    }
  });
});
