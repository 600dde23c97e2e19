import { ShapeError } from '../errors.js';
import { byteLength, DTYPE_BYTES, type Graph, type Node, type Value } from '../graph/graph.js';
import { type Lifetimes, lifetimes, type Storage } from './lifetimes.js';
import { aligned, type Interval, livePeak, place } from './place.js';
import type { Plan, PlannedCall, PlannedTensor } from './plan.js';
import { type Target, targetThreads } from './target.js';

/** Inputs and results of a program: persistent, one after the other. */
interface IoMemory {
  readonly offsets: Map<Storage, number>;
  bytes: number;
}

function ioOffset(io: IoMemory, storage: Storage): number {
  const offset = io.offsets.get(storage) ?? io.bytes;
  if (!io.offsets.has(storage)) io.bytes += aligned(storage.bytes);
  io.offsets.set(storage, offset);
  return offset;
}

function matrixUses(nodes: readonly Node[]): Map<Value, boolean> {
  const uses = new Map<Value, boolean>();
  for (const node of nodes) {
    node.inputs.forEach((value, i) => {
      if (value?.leaf?.kind !== 'weight') return;
      const matrix = node.op.matrices?.includes(i) ?? false;
      if (uses.has(value) && uses.get(value) !== matrix) {
        throw new ShapeError(`weight '${value.name}' is read both as a matrix and as a plain tensor (at ${node.path})`);
      }
      uses.set(value, matrix);
    });
  }
  return uses;
}

function planTensor(
  value: Value,
  storage: Storage,
  arena: ReadonlyMap<Storage, number>,
  io: IoMemory,
  matrix: boolean,
): PlannedTensor {
  const owner = storage.fixed;
  if (!owner) return { value, place: 'arena', offset: arena.get(storage)!, matrix: false };
  const home = owner.home ?? (owner.leaf?.kind === 'state' ? owner.leaf : undefined);
  if (home) return { value, place: 'state', offset: home.offset * DTYPE_BYTES.f32, buffer: home.buffer, matrix: false };
  if (owner.leaf?.kind === 'weight') return { value, place: 'weight', offset: 0, buffer: owner.leaf.name, matrix };
  return { value, place: 'io', offset: ioOffset(io, storage), matrix: false };
}

function scratchBytes(node: Node, target: Target): number {
  const { scratchBytes: cpu, cudaScratchBytes: cuda } = node.op;
  if (typeof target === 'number') return cpu?.(node, target) ?? 0;
  return cuda?.(node) ?? cpu?.(node, 1) ?? 0;
}

function arenaIntervals(
  live: Lifetimes,
  target: Target,
): { storages: Storage[]; scratch: Interval[]; all: Interval[] } {
  const storages = live.storages.filter((s) => s.fixed === undefined);
  const scratch = live.nodes.map((node, i) => ({
    first: i,
    last: i,
    bytes: scratchBytes(node, target),
  }));
  return { storages, scratch, all: [...storages, ...scratch] };
}

function stateBytes(tensors: readonly PlannedTensor[]): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { place, buffer, offset, value } of tensors) {
    if (place !== 'state') continue;
    bytes.set(buffer!, Math.max(bytes.get(buffer!) ?? 0, offset + byteLength(value)));
  }
  return bytes;
}

/**
 * Places every value of a graph: leaves in io memory, weights or state; the rest and all scratch in one arena.
 * @param target the number of threads the engine will run with (some scratch depends on it), or a CUDA device
 */
export function makePlan(graph: Graph, target: Target): Plan {
  const live = lifetimes(graph);
  const { storages, scratch, all } = arenaIntervals(live, target);
  const { offsets, total } = place(all);
  const arena = new Map(storages.map((s, i) => [s, offsets[i]!]));
  const io: IoMemory = { offsets: new Map(), bytes: 0 };
  const matrices = matrixUses(live.nodes);
  const planned = new Map<Value, PlannedTensor>();
  for (const storage of live.storages) {
    for (const value of storage.values) {
      planned.set(value, planTensor(value, storage, arena, io, matrices.get(value) ?? false));
    }
  }
  for (const leaf of graph.leaves.values()) {
    if (leaf.leaf!.kind !== 'input' || planned.has(leaf)) continue;
    const unread: Storage = { id: -1, bytes: byteLength(leaf), first: -1, last: -1, values: [leaf], fixed: leaf };
    planned.set(leaf, planTensor(leaf, unread, arena, io, false));
  }
  const calls: PlannedCall[] = [];
  live.nodes.forEach((node, i) => {
    if (node.op.kernel === false) return;
    const find = (v: Value | null): PlannedTensor | null => (v === null ? null : planned.get(v)!);
    const scratchOffset = offsets[storages.length + i] ?? 0;
    const scratchBytes = scratch[i]!.bytes;
    calls.push({ node, inputs: node.inputs.map(find), outputs: node.outputs.map(find), scratchOffset, scratchBytes });
  });
  const tensors = [...planned.values()];
  const named = (kind: 'input' | 'weight'): Map<string, PlannedTensor> =>
    new Map(tensors.filter((t) => t.value.leaf?.kind === kind).map((t) => [t.value.name, t]));
  const results = new Map([...graph.results].map(([name, value]) => [name, planned.get(value)!]));
  return {
    calls,
    tensors,
    arenaBytes: total,
    livePeakBytes: livePeak(all),
    ioBytes: io.bytes,
    threads: targetThreads(target),
    target,
    stateBytes: stateBytes(tensors),
    inputs: named('input'),
    results,
    weights: named('weight'),
  };
}
