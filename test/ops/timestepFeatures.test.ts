import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { timestepFeatures } from '../../lib/ops/timestepFeatures.js';
import { evaluate, expectNear } from '../support/evaluate.js';

// The formula of diffusers' get_timestep_embedding in float64.
describe('timestepFeatures', () => {
  it('puts cosines first and pads an odd dim', () => {
    const [y] = evaluate({ t: { shape: [2], values: [0, 999] } }, ({ t }) => timestepFeatures(t!, { dim: 5 }));
    expectNear(y!, [1, 1, 0, 0, 0, 0.999649852981, -0.844469696289, -0.026460752737, -0.535603334614, 0]);
  });

  it('puts sines first and shifts the exponent', () => {
    const options = { dim: 6, flipSinToCos: false, freqShift: 1 };
    const [y] = evaluate({ t: { shape: [1], values: [7] } }, ({ t }) => timestepFeatures(t!, options));
    expectNear(y!, [0.656986598719, 0.069942847338, 0.000699999943, 0.753902254343, 0.997551000253, 0.999999755]);
  });

  it('refuses a dim without frequencies', () => {
    const t = input(createGraph(), 't', [2]);
    expect(() => timestepFeatures(t, { dim: 1 })).toThrow('[timestepFeatures] dim: expected an integer above 1');
  });
});
