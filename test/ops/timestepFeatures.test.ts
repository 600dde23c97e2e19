import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { timestepFeatures } from '../../lib/ops/timestepFeatures.js';
import { evaluate } from '../support/evaluate.js';

/** Sines and cosines are compared after PyTorch rounded them to float32. */
function expectNear(got: readonly number[], expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i]! - value), `at ${i}`).toBeLessThan(6e-8);
}

// What diffusers' get_timestep_embedding gives in PyTorch.
describe('timestepFeatures', () => {
  it('puts cosines first and pads an odd dim', () => {
    const [y] = evaluate({ t: { shape: [2], values: [0, 999] } }, ({ t }) => timestepFeatures(t!, { dim: 5 }));
    expectNear(y!, [1, 1, 0, 0, 0, 0.999649823, -0.844469786, -0.026460752, -0.535603166, 0]);
  });

  it('puts sines first and shifts the exponent', () => {
    const options = { dim: 6, flipSinToCos: false, freqShift: 1 };
    const [y] = evaluate({ t: { shape: [1], values: [7] } }, ({ t }) => timestepFeatures(t!, options));
    expectNear(y!, [0.656986594, 0.069942847, 0.000699999859, 0.753902257, 0.997551024, 0.999999762]);
  });

  it('rounds angles to float32 before it takes the sine: of a large picture it is off by more than 1e-5', () => {
    const [y] = evaluate({ t: { shape: [1], values: [4032] } }, ({ t }) => timestepFeatures(t!, { dim: 8 }));
    const [cosines, sines] = [
      [-0.232036576, 0.474745005, -0.867468774, -0.629095733],
      [-0.972707093, 0.880123377, 0.497491658, -0.777327836],
    ];
    expectNear(y!, [...cosines!, ...sines!]);
    expect(Math.abs(Math.sin(4032 * 10 ** -1) - sines![1]!)).toBeGreaterThan(5e-6);
  });

  it('refuses a dim without frequencies', () => {
    const t = input(createGraph(), 't', [2]);
    expect(() => timestepFeatures(t, { dim: 1 })).toThrow('[timestepFeatures] dim: expected an integer above 1');
  });
});
