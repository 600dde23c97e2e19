import { describe, expect, it } from 'vitest';
import { adaptedLayers, isMasked, isOrthogonal } from '../../lib/adapters/adapterSpec.js';
import { ConfigError } from '../../lib/errors.js';

const LINEARS = [
  { path: 'a.to_q', in: 320, out: 320 },
  { path: 'a.to_k', in: 40, out: 320 },
  { path: 'b.to_k', in: 64, out: 16 },
];

describe('adaptedLayers', () => {
  it('gives each layer min(rank, in, out) and one notice', () => {
    const { layers, notices } = adaptedLayers(LINEARS, 64);
    expect(layers.map((layer) => layer.rank)).toEqual([64, 40, 16]);
    expect(notices).toEqual(['rank 64 is more than 2 of 3 layers (such as a.to_k) can have: there it is 16 or 40']);
    expect(adaptedLayers(LINEARS, 16).notices).toEqual([]);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses rank %s', (rank) => {
    expect(() => adaptedLayers(LINEARS, rank)).toThrow(ConfigError);
  });

  it('refuses a model without layers to adapt', () => {
    expect(() => adaptedLayers([], 4)).toThrow('expected layers to adapt, got none');
  });
});

it('knows which variants are masked and which start orthogonal', () => {
  const variants = ['lora', 'vanilla', 'ortho', 'tlora'] as const;
  expect(variants.map(isMasked)).toEqual([false, true, false, true]);
  expect(variants.map(isOrthogonal)).toEqual([false, false, true, true]);
});
