import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { randomNormal } from '../../lib/ops/randomNormal.js';
import { drawKey, standardNormals } from '../../lib/random/philox.js';
import { evaluate } from '../support/evaluate.js';

describe('randomNormal', () => {
  it('gives standardNormals of the key, times std', () => {
    const key = { shape: [4], values: drawKey('normals', 2 ** 40, 5), dtype: 'i32' as const };
    const [got] = evaluate({ key }, ({ key }) => randomNormal(key!, [3, 3], { std: 0.5 }));
    expect(Float32Array.from(got!, (v) => 2 * v)).toEqual(standardNormals(2 ** 40, 5, 9));
  });

  it('draws each sample from its own key, as if alone', () => {
    const keys = [drawKey('starts', 1, 2), drawKey('starts', 1, 3)];
    const together = { key: { shape: [2, 4], values: keys.flat(), dtype: 'i32' as const } };
    const [both] = evaluate(together, ({ key }) => randomNormal(key!, [2, 5]));
    const alone = keys.map((values) => {
      const key = { shape: [4], values, dtype: 'i32' as const };
      return evaluate({ key }, ({ key }) => randomNormal(key!, [5]))[0]!;
    });
    expect(both).toEqual(alone.flat());
    expect(alone[0]).not.toEqual(alone[1]);
  });

  it('names a key that does not fit', () => {
    const graph = createGraph();
    expect(() => randomNormal(input(graph, 'a', [3], 'i32'), [2])).toThrow('words of a key: expected 4, got 3');
    expect(() => randomNormal(input(graph, 'b', [3, 4], 'i32'), [2])).toThrow('shape of key: expected [4] or [2,4]');
    expect(() => randomNormal(input(graph, 'c', [4]), [2])).toThrow('type of key: expected i32, got f32');
  });
});
