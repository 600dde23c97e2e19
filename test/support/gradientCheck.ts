// Every gradient rule against central finite differences, both in float64.
import { expect } from 'vitest';
import { createGraph, elements, type Graph, input, type Value } from '../../lib/graph/graph.js';
import { grad } from '../../lib/transform/grad.js';
import { interpret } from './interpreter.js';
import { pseudoRandom } from './pseudoRandom.js';

export interface GradientCase {
  /** Shapes of the differentiable inputs, by name. */
  inputs: Record<string, readonly number[]>;
  /** Inputs without gradient (ids, ranks), with their values. */
  fixed?: Record<string, { shape: readonly number[]; values: readonly number[]; dtype?: 'i32' | 'f32' }>;
  /** Builds the op under test from its inputs. */
  build: (values: Record<string, Value>) => Value;
  /** Spread of the random input values (default 1). */
  spread?: number;
  /** Leave out channels of gradients that nobody wants. */
  narrow?: boolean;
}

/** sum(y · c) for a fixed random c: a scalar whose gradient at y is c. */
function run(graph: Graph, y: Value, c: Float64Array, leaves: Map<Value, Float64Array>): number {
  const out = interpret(graph, leaves).get(y)!;
  return out.reduce((sum, v, i) => sum + v * c[i]!, 0);
}

/** Fails unless every input's gradient equals central differences within 1e-6 of the gradient's largest entry. */
export function checkGradients(testCase: GradientCase, seed = 1): void {
  const random = pseudoRandom(seed);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  for (const [name, shape] of Object.entries(testCase.inputs)) {
    values[name] = input(graph, name, shape);
    leaves.set(
      values[name],
      Float64Array.from({ length: elements(shape) }, () => random.normal() * (testCase.spread ?? 1)),
    );
  }
  for (const [name, fixed] of Object.entries(testCase.fixed ?? {})) {
    values[name] = input(graph, name, fixed.shape, fixed.dtype ?? 'f32');
    leaves.set(values[name], Float64Array.from(fixed.values));
  }
  const y = testCase.build(values);
  const c = Float64Array.from({ length: elements(y.shape) }, () => random.normal());
  const forwardNodes = graph.nodes.length;
  const seedValue = input(graph, 'seed of the gradient', y.shape);
  const differentiable = Object.keys(testCase.inputs);
  const gradients = grad(
    y,
    seedValue,
    differentiable.map((name) => values[name]!),
    { narrow: testCase.narrow ?? false },
  );
  const all = interpret(graph, new Map([...leaves, [seedValue, c]]));
  const forward: Graph = { ...graph, nodes: graph.nodes.slice(0, forwardNodes) };
  differentiable.forEach((name, i) => {
    const gradient = gradients[i];
    expect(gradient, `gradient of ${name}`).toBeTruthy();
    compare(name, all.get(gradient!)!, (j, h) => {
      const data = leaves.get(values[name]!)!;
      const at = data[j]!;
      data[j] = at + h;
      const up = run(forward, y, c, leaves);
      data[j] = at - h;
      const down = run(forward, y, c, leaves);
      data[j] = at;
      return (up - down) / (2 * h);
    });
  });
}

function compare(name: string, got: Float64Array, difference: (j: number, h: number) => number): void {
  const expected = got.map((_, j) => difference(j, 1e-5));
  const size = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-3);
  got.forEach((g, j) => {
    expect(
      Math.abs(g - expected[j]!) / size,
      `d ${name}[${j}]: got ${g}, differences give ${expected[j]}`,
    ).toBeLessThan(1e-6);
  });
}
