// The start of adapters: small graphs of draws and decompositions, run by the caller, written to flat buffers.
import { createHash } from 'node:crypto';
import { ConfigError } from '../errors.js';
import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import { complementFrame } from '../ops/complementFrame.js';
import { gaussianSingularValues } from '../ops/gaussianSingularValues.js';
import { qrFrame } from '../ops/qrFrame.js';
import { randomNormal } from '../ops/randomNormal.js';
import { svdComponents } from '../ops/svdComponents.js';
import { paramTree, type TensorInfo } from '../params/paramTree.js';
import { drawKey } from '../random/philox.js';
import { type AdapterLayout, type ValueKind, valueName } from './adapterLayout.js';
import { type AdaptedLayer, type AdapterSpec, isOrthogonal } from './adapterSpec.js';

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

/** Name and version of the way random starts are drawn: with a seed, it stands for the start itself in compact files. */
export const START_GENERATOR: { readonly name: string; readonly version: number } = {
  name: 'philox4x32-10',
  version: 1,
};

/** Floats of one batch's draws: bounds the memory of a run, and is many layers for the threads to share. */
const BATCH_FLOATS = 1 << 22;

/** A piece of work: one graph, and what to do with its results. */
interface Piece {
  readonly build: (graph: Graph) => void;
  readonly feeds: Readonly<Record<string, Int32Array>>;
  readonly take: (results: ReadonlyMap<string, Float32Array>) => void;
}

/**
 * Draws the start of all adapters into `params`, and for orthogonal variants into `base` too. Every value has a counter stream of its own,
 * named by its key in the adapter file: a layer's start depends on the seed and its path, not on the other layers, their order or the threads.
 *
 * lora, vanilla: down ~ N(0, 1/r²), up = 0. Orthogonal, from random: independent Haar frames and singular values of an out × in
 * Gaussian with standard deviation 1/r. From weight: singular triples of the weight.
 * @throws ConfigError when weights are needed and absent; the signal's reason when it is aborted
 */
export async function drawStart(options: StartOptions): Promise<void> {
  const pieces = piecesOf(options);
  for (const [i, piece] of pieces.entries()) {
    options.signal?.throwIfAborted();
    const graph = createGraph();
    piece.build(graph);
    piece.take(await options.runGraph(graph, piece.feeds));
    options.onProgress?.(i + 1, pieces.length);
  }
}

function piecesOf(options: StartOptions): Piece[] {
  const { layout, spec } = options;
  if (isOrthogonal(spec.variant) !== layout.orthogonal) {
    throw new ConfigError(`[start] expected a layout for the variant ${spec.variant}, got another one`);
  }
  if (!layout.orthogonal) return gaussianDowns(options);
  if (spec.start.from === 'weight') return layout.layers.map((layer) => weightTriples(options, layer));
  return [...frames(options), ...singularValues(options)];
}

/** Writes one value of a layer to params, and to base where there is one. */
function write({ layout, state }: StartOptions, path: string, kind: ValueKind, values: Float32Array): void {
  const { offset } = layout.flat.entries.get(valueName(path, kind))!;
  for (const buffer of layout.orthogonal ? ['params', 'base'] : ['params']) state.writeState(buffer, offset, values);
}

/** The stream of one value: the first 53 bits of the SHA-256 of its name. */
export function startStream(name: string): number {
  const digest = createHash('sha256').update(name, 'utf8').digest();
  return Number(digest.readBigUInt64BE() >> 11n);
}

function keysOf(seed: number, names: readonly string[]): Int32Array {
  return Int32Array.from(names.flatMap((name) => drawKey('starts', seed, startStream(name))));
}

/** Items of equal `shape`, in batches of at most BATCH_FLOATS floats, an item having about the product of its first two sizes. */
function batches<T>(items: readonly T[], shape: (item: T) => readonly [number, number, ...number[]]): T[][] {
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
function eachRow<T>(items: readonly T[], values: Float32Array, take: (item: T, row: Float32Array) => void): void {
  const size = values.length / items.length;
  items.forEach((item, i) => void take(item, values.subarray(i * size, (i + 1) * size)));
}

function keyInput(graph: Graph, count: number): Value {
  return input(graph, 'key', [count, 4], 'i32');
}

function gaussianDowns(options: StartOptions): Piece[] {
  return batches(options.layout.layers, (layer) => [layer.rank, layer.in]).map((batch) => ({
    build: (graph) => {
      const { rank, in: width } = batch[0]!;
      result(
        graph,
        'down',
        randomNormal(keyInput(graph, batch.length), [batch.length, rank, width], { std: 1 / rank }),
      );
    },
    feeds: {
      key: keysOf(
        options.seed,
        batch.map((layer) => valueName(layer.path, 'lora_down')),
      ),
    },
    take: (results) =>
      eachRow(batch, results.get('down')!, (layer, row) => {
        write(options, layer.path, 'lora_down', row);
        write(options, layer.path, 'lora_up', new Float32Array(layer.out * layer.rank));
      }),
  }));
}

/** One frame to draw: up [out, r] (length out) or down [r, in] (length in). */
interface FrameJob {
  path: string;
  kind: 'lora_up' | 'lora_down';
  length: number;
  rank: number;
  /** For the authors' law: the layer's other, smaller side; 0: Haar. */
  shorter: number;
}

function frameJobs({ layout, spec }: StartOptions): FrameJob[] {
  const job = (layer: AdaptedLayer, kind: FrameJob['kind'], length: number, other: number): FrameJob => {
    const leaning = spec.start.frames === 'reference' && other < length;
    return { path: layer.path, kind, length, rank: layer.rank, shorter: leaning ? other : 0 };
  };
  return layout.layers.flatMap((layer) => [
    job(layer, 'lora_up', layer.out, layer.in),
    job(layer, 'lora_down', layer.in, layer.out),
  ]);
}

function frames(options: StartOptions): Piece[] {
  const { which } = options.spec.start;
  const jobs = frameJobs(options);
  return (['lora_up', 'lora_down'] as const).flatMap((kind) =>
    batches(
      jobs.filter((job) => job.kind === kind),
      ({ length, rank, shorter }) => [length, rank, shorter],
    ).map((batch) => framePiece(options, which, kind, batch)),
  );
}

function framePiece(
  options: StartOptions,
  which: AdapterSpec['start']['which'],
  kind: FrameJob['kind'],
  batch: readonly FrameJob[],
): Piece {
  const { length, rank, shorter } = batch[0]!;
  const leaning = shorter > 0;
  const columns = kind === 'lora_up' && !leaning;
  return {
    build: (graph) => {
      const key = keyInput(graph, batch.length);
      const gaussian = randomNormal(key, [batch.length, leaning ? shorter : length, rank]);
      const frame = qrFrame(gaussian, { transposed: !leaning && !columns });
      // The reflectors' blocks begin at 2³², after those of the Gaussian: one key serves both.
      result(graph, 'frame', leaning ? complementFrame(key, frame, { rows: length, which }) : frame);
    },
    feeds: {
      key: keysOf(
        options.seed,
        batch.map((job) => valueName(job.path, kind)),
      ),
    },
    take: (results) =>
      eachRow(batch, results.get('frame')!, (job, row) => {
        write(options, job.path, kind, kind === 'lora_up' && leaning ? transposed(row, rank, length) : row);
      }),
  };
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j]!;
  return out;
}

function singularValues(options: StartOptions): Piece[] {
  const { which } = options.spec.start;
  return batches(options.layout.layers, (layer) => [layer.rank, layer.in, layer.out]).map((batch) => ({
    build: (graph) => {
      const { out, in: width, rank } = batch[0]!;
      const shape = { rows: out, cols: width, rank, which, std: 1 / rank };
      result(graph, 'sigma', gaussianSingularValues(keyInput(graph, batch.length), shape));
    },
    feeds: {
      key: keysOf(
        options.seed,
        batch.map((layer) => valueName(layer.path, 'lora_lambda')),
      ),
    },
    take: (results) =>
      eachRow(batch, results.get('sigma')!, (layer, row) => write(options, layer.path, 'lora_lambda', row)),
  }));
}

function weightTriples(options: StartOptions, layer: AdaptedLayer): Piece {
  const { weights, spec } = options;
  if (!weights)
    throw new ConfigError('[start] a start from the weights needs the checkpoint that holds them, got none');
  return {
    build: (graph) => {
      const module = paramTree(graph, weights.component, weights.tensors).child(layer.path);
      const w = module.weight('weight', [layer.out, layer.in]);
      const { up, sigma, down } = svdComponents(w, { rank: layer.rank, which: spec.start.which });
      for (const [name, value] of Object.entries({ up, sigma, down })) result(graph, name, value);
    },
    feeds: {},
    take: (results) => {
      write(options, layer.path, 'lora_up', results.get('up')!);
      write(options, layer.path, 'lora_lambda', results.get('sigma')!);
      write(options, layer.path, 'lora_down', results.get('down')!);
    },
  };
}
