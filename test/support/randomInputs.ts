import { elements, type Graph, input, type Value } from '../../lib/graph/graph.js';
import { pseudoRandom } from './pseudoRandom.js';

/** Makes float32 inputs of a graph with normal values, one after the other from one seed. */
export function randomInputs(
  graph: Graph,
  seed: number,
): { make(name: string, shape: readonly number[]): Value; leaves: Map<Value, Float64Array> } {
  const random = pseudoRandom(seed);
  const leaves = new Map<Value, Float64Array>();
  const make = (name: string, shape: readonly number[]): Value => {
    const value = input(graph, name, shape);
    leaves.set(
      value,
      Float64Array.from({ length: elements(shape) }, () => Math.fround(random.normal())),
    );
    return value;
  };
  return { make, leaves };
}
