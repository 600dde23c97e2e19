// Flat state buffers in JavaScript, and graphs run in float64: the adapters' rooms without an engine.
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import type { RunGraph } from '../../lib/adapters/start.js';
import type { Graph, Value } from '../../lib/graph/graph.js';
import { interpret } from './interpreter.js';

export interface AdapterStore {
  readonly buffers: ReadonlyMap<string, Float32Array>;
  writeState(buffer: string, offset: number, values: Float32Array): void;
  readState(buffer: string, offset: number, count: number): Float32Array;
  /** A named value of a layout. */
  value(buffer: 'params' | 'base', name: string): Float32Array;
}

/** Buffers filled with NaN, so that a value that nobody wrote shows. */
export function adapterStore(layout: AdapterLayout): AdapterStore {
  const { total, entries } = layout.flat;
  const buffers = new Map(['params', 'base'].map((name) => [name, new Float32Array(total).fill(Number.NaN)]));
  const readState = (buffer: string, offset: number, count: number): Float32Array =>
    buffers.get(buffer)!.slice(offset, offset + count);
  return {
    buffers,
    writeState: (buffer, offset, values) => buffers.get(buffer)!.set(values, offset),
    readState,
    value: (buffer, name) => readState(buffer, entries.get(name)!.offset, entries.get(name)!.count),
  };
}

/** Runs graphs in the interpreter. @param weights by the names of the graph's weight leaves */
export function interpretedRun(weights: ReadonlyMap<string, Float64Array> = new Map()): RunGraph {
  return async (graph: Graph, feeds) => {
    const leaves = new Map<Value, Float64Array>();
    for (const leaf of graph.leaves.values()) {
      const data = leaf.leaf?.kind === 'weight' ? weights.get(leaf.leaf.name) : feeds[leaf.name];
      if (data) leaves.set(leaf, Float64Array.from(data));
    }
    const values = interpret(graph, leaves);
    return new Map([...graph.results].map(([name, value]) => [name, Float32Array.from(values.get(value)!)]));
  };
}
