import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { randomUniform } from '../../lib/ops/randomUniform.js';
import { drawKey, philox4x32 } from '../../lib/random/philox.js';
import { evaluate } from '../support/evaluate.js';

describe('randomUniform', () => {
  it('is the upper 24 bits of each word', () => {
    const key = { shape: [4], values: drawKey('normals', 3, 5), dtype: 'i32' as const };
    const [got] = evaluate({ key }, ({ key }) => randomUniform(key!, [6]));
    const words = [...philox4x32([0, 0, 5, 0], [3, 0]), ...philox4x32([1, 0, 5, 0], [3, 0])];
    expect(got).toEqual(words.slice(0, 6).map((word) => Math.floor(word / 256) / 2 ** 24));
  });

  it('names a key that does not fit', () => {
    expect(() => randomUniform(input(createGraph(), 'key', [2, 5], 'i32'), [2])).toThrow(
      '[randomUniform] words of a key',
    );
  });
});
