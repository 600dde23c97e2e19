// What the ways to draw a start share: pieces of work, counter streams, batches of equal shape.
import { createHash } from 'node:crypto';
import { type Graph, input, type Value } from '../graph/graph.js';
import type { TensorInfo } from '../params/paramTree.js';
import { drawKey } from '../random/philox.js';
import { type AdapterLayout, type ValueKind, valueName } from './adapterLayout.js';
import type { AdapterSpec } from './adapterSpec.js';

/** Plans and runs a graph once: writes the inputs, gives all results. Weights are those of `StartOptions.weights`. */
export type RunGraph = (
  graph: Graph,
  feeds: Readonly<Record<string, Int32Array>>,
) => Promise<ReadonlyMap<string, Float32Array>>;

/** Where the start goes: the engine, or anything with the same method. */
export interface StateWriter {
  writeState(buffer: string, offset: number, values: Float32Array): void;
}

export interface StartOptions {
  readonly layout: AdapterLayout;
  readonly spec: AdapterSpec;
  readonly seed: number;
  readonly runGraph: RunGraph;
  readonly state: StateWriter;
  /** For a start from the layers' weights: the checkpoint that holds them (`unet`, and its tensors). */
  readonly weights?: { readonly component: string; readonly tensors: ReadonlyMap<string, TensorInfo> };
  /** Called when `done` of `total` pieces of work are done. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Floats of one batch's draws: bounds the memory of a run, and is many layers for the threads to share. */
const BATCH_FLOATS = 1 << 22;

/** A piece of work: one graph, and what to do with its results. */
export interface Piece {
  readonly build: (graph: Graph) => void;
  readonly feeds: Readonly<Record<string, Int32Array>>;
  readonly take: (results: ReadonlyMap<string, Float32Array>) => void;
}

/** Writes one value of a layer to params, and to base where there is one. */
export function write({ layout, state }: StartOptions, path: string, kind: ValueKind, values: Float32Array): void {
  const { offset } = layout.flat.entries.get(valueName(path, kind))!;
  for (const buffer of layout.orthogonal ? ['params', 'base'] : ['params']) state.writeState(buffer, offset, values);
}

/** The stream of one value: the first 53 bits of the SHA-256 of its name. */
export function startStream(name: string): number {
  const digest = createHash('sha256').update(name, 'utf8').digest();
  return Number(digest.readBigUInt64BE() >> 11n);
}

/** Keys [names, 4] of the streams of named values. */
export function keysOf(seed: number, names: readonly string[]): Int32Array {
  return Int32Array.from(names.flatMap((name) => drawKey('starts', seed, startStream(name))));
}

/** Items of equal `shape`, in batches of at most BATCH_FLOATS floats, an item having about the product of its first two sizes. */
export function batches<T>(items: readonly T[], shape: (item: T) => readonly [number, number, ...number[]]): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = shape(item).join('x');
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()].flatMap((group) => {
    const [a, b] = shape(group[0]!);
    const most = Math.max(1, Math.floor(BATCH_FLOATS / (a * b)));
    return Array.from({ length: Math.ceil(group.length / most) }, (_, i) => group.slice(i * most, (i + 1) * most));
  });
}

/** The rows of a result [batch, …], one for each item. */
export function eachRow<T>(
  items: readonly T[],
  values: Float32Array,
  take: (item: T, row: Float32Array) => void,
): void {
  const size = values.length / items.length;
  items.forEach((item, i) => void take(item, values.subarray(i * size, (i + 1) * size)));
}

/** The input that `keysOf` feeds. */
export function keyInput(graph: Graph, count: number): Value {
  return input(graph, 'key', [count, 4], 'i32');
}
