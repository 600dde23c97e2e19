import { expect } from 'vitest';
import type { Value } from '../../lib/graph/graph.js';
import { grad } from '../../lib/transform/grad.js';
import { interpret } from './interpreter.js';

/** Expects of attention's o and of that of a packed form the same o, lse and gradients of `parts`, to the last bit. */
export function expectSameAttention(
  [whole, packed]: readonly [Value, Value],
  dO: Value,
  parts: readonly Value[],
  leaves: ReadonlyMap<Value, Float64Array>,
): void {
  const gradients = [whole, packed].map((o) => grad(o, dO, parts));
  const values = interpret(whole.graph, leaves);
  const list = (value: Value): number[] => [...values.get(value)!];
  expect(list(packed)).toEqual(list(whole));
  expect(list(packed.node!.outputs[1]!)).toEqual(list(whole.node!.outputs[1]!));
  expect(gradients[1]!.map((value) => list(value!))).toEqual(gradients[0]!.map((value) => list(value!)));
}
