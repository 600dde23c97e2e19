import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { complementFrame } from '../../lib/ops/complementFrame.js';
import { qrFrame } from '../../lib/ops/qrFrame.js';
import { drawKey } from '../../lib/random/philox.js';
import { evaluate } from '../support/evaluate.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

describe('complementFrame', () => {
  it.each(['last', 'middle', 'principal'] as const)('gives orthonormal rows, %s', (which) => {
    const random = pseudoRandom(4);
    const key = { shape: [1, 4], values: drawKey('starts', 1, 2), dtype: 'i32' as const };
    const g = { shape: [1, 6, 4], values: Array.from({ length: 24 }, () => random.normal()) };
    const [rows] = evaluate({ key, g }, ({ key, g }) => complementFrame(key!, qrFrame(g!), { rows: 10, which }));
    for (let a = 0; a < 4; a++) {
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let i = 0; i < 10; i++) sum += rows![a * 10 + i]! * rows![b * 10 + i]!;
        expect(sum).toBeCloseTo(Number(a === b), 12);
      }
    }
  });

  it('refuses a matrix that is not tall', () => {
    const graph = createGraph();
    const [key, z] = [input(graph, 'key', [1, 4], 'i32'), input(graph, 'z', [1, 6, 4])];
    expect(() => complementFrame(key, z, { rows: 6, which: 'last' })).toThrow('rows: expected more than 6, got 6');
  });
});
