import type { Graph, Value } from '../../lib/graph/graph.js';
import type { Component } from '../../lib/io/modelFolder.js';
import { readTensorFloat32 } from '../../lib/io/safetensors.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';
import type { Feeds } from '../../lib/pipeline/session.js';
import { roundTo } from '../support/halfFloat.js';
import { interpret } from '../support/interpreter.js';

function leafValues(leaf: Value, component: Component, feeds: Feeds): Float64Array {
  if (leaf.leaf?.kind !== 'weight') return Float64Array.from(feeds[leaf.name]!);
  const values = (leaf.leaf.rows ?? [leaf.name]).map((name) => {
    const ref = component.tensors.get(name.slice(component.name.length + 1))!;
    const [o, i, h, w] = ref.shape as [number, number, number, number];
    return ref.shape.length === 4 ? toChannelsLast(readTensorFloat32(ref), [o, i, h, w]) : readTensorFloat32(ref);
  });
  return Float64Array.from(values.flatMap((rows) => [...rows]));
}

/** A result of a graph as float64 gives it that rounds each value to its type: leaves, and what every op makes. */
export function plainResult(graph: Graph, component: Component, feeds: Feeds, name: string): Float64Array {
  const leaves = [...graph.leaves.values()].map((leaf): [Value, Float64Array] => [
    leaf,
    roundTo(leafValues(leaf, component, feeds), leaf.dtype),
  ]);
  const all = interpret(graph, new Map(leaves), (value, data) => roundTo(data, value.dtype));
  return all.get(graph.results.get(name)!)!;
}
