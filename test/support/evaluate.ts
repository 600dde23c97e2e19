import { createGraph, type DType, input, type Value } from '../../lib/graph/graph.js';
import { interpret } from './interpreter.js';

/** A leaf with its values. */
export interface Given {
  shape: readonly number[];
  values: ArrayLike<number>;
  dtype?: DType;
}

/** Builds a small graph from inputs with values and gives what the built values mean, in float64. */
export function evaluate(
  given: Readonly<Record<string, Given>>,
  build: (values: Record<string, Value>) => Value | readonly Value[],
): number[][] {
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  for (const [name, { shape, values: data, dtype }] of Object.entries(given)) {
    values[name] = input(graph, name, shape, dtype ?? 'f32');
    leaves.set(values[name], Float64Array.from(data));
  }
  const built = build(values);
  const all = interpret(graph, leaves);
  return [built].flat().map((value) => [...all.get(value as Value)!]);
}

/** Fails unless all values agree to 12 decimals: how the stored reference values are written. */
export function expectNear(got: readonly number[] | undefined, expected: readonly number[]): void {
  const worst = Math.max(...expected.map((v, i) => Math.abs((got?.[i] ?? Number.NaN) - v)));
  if (got?.length !== expected.length || !(worst <= 2e-12)) throw new Error(`expected [${expected}], got [${got}]`);
}
