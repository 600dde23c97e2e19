import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { cast } from '../../lib/ops/cast.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('cast', () => {
  it('keeps the value', () => {
    expect(evaluate({ x: { shape: [3], values: [1, -2, 0.5] } }, ({ x }) => cast(x!, 'bf16'))).toEqual([[1, -2, 0.5]]);
  });

  it('has a gradient of the type of x', () => {
    checkGradients({ inputs: { x: [3, 5] }, build: ({ x }) => cast(cast(x!, 'bf16'), 'f32') });
  });

  it('adds nothing where the type is right already', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [3], 'bf16');
    expect(cast(x, 'bf16')).toBe(x);
    expect(cast(x, 'f32').dtype).toBe('f32');
    expect(graph.nodes).toHaveLength(1);
  });

  it('refuses integers', () => {
    const ids = input(createGraph(), 'ids', [3], 'i32');
    expect(() => cast(ids, 'f32')).toThrow('[cast] type of x: expected f32 or f16 or bf16, got i32');
  });
});
