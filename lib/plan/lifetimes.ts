import { byteLength, type Graph, type Node, type Value } from '../graph/graph.js';

/** Bytes that live together: a value, its views, its in-place updates, and outputs written over it. */
export interface Storage {
  readonly id: number;
  /** Size of the largest value in it. */
  bytes: number;
  /** Index of the node that first writes it; −1 for leaves. */
  first: number;
  /** Index of the last node that reads or writes it. */
  last: number;
  readonly values: Value[];
  /** Set when it may not lie in the arena: a leaf, a result, or a value with a home. */
  fixed?: Value;
}

export interface Lifetimes {
  /** Nodes that must run: those with an effect and those that a result, a home or such a node needs. */
  readonly nodes: readonly Node[];
  readonly storages: readonly Storage[];
  readonly storageOf: ReadonlyMap<Value, Storage>;
}

/** Nodes whose outputs reach a result, a home or an effect, in the graph's order. */
export function liveNodes(graph: Graph): Node[] {
  const needed = new Set<Value>(graph.results.values());
  const live: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    const wanted = node.outputs.some((v) => v !== null && (needed.has(v) || v.home !== undefined));
    if (!wanted && !node.op.effect) continue;
    live.push(node);
    for (const v of node.inputs) if (v !== null) needed.add(v);
  }
  return live.reverse();
}

function lastUses(nodes: readonly Node[], storageOf: Map<Value, Storage>): void {
  nodes.forEach((node, i) => {
    for (const v of [...node.inputs, ...node.outputs]) if (v !== null) storageOf.get(v)!.last = i;
  });
}

function open(value: Value, first: number, storages: Storage[], storageOf: Map<Value, Storage>): void {
  const storage: Storage = { id: storages.length, bytes: byteLength(value), first, last: first, values: [value] };
  if (value.leaf || value.home) storage.fixed = value;
  storages.push(storage);
  storageOf.set(value, storage);
}

function join(value: Value, storage: Storage, storageOf: Map<Value, Storage>): void {
  storage.values.push(value);
  storage.bytes = Math.max(storage.bytes, byteLength(value));
  if (value.home) storage.fixed ??= value;
  storageOf.set(value, storage);
}

/** Lets elementwise outputs take over an input that dies at their node. */
function overwrite(nodes: readonly Node[], storageOf: Map<Value, Storage>): void {
  nodes.forEach((node, i) => {
    const out = node.outputs[0];
    if (!out || node.op.overwrites === undefined) return;
    const mine = storageOf.get(out)!;
    if (mine.fixed || mine.first !== i) return;
    for (const k of node.op.overwrites) {
      const source = node.inputs[k];
      if (!source) continue;
      const theirs = storageOf.get(source)!;
      const shared = node.inputs.some((v, j) => j !== k && v !== null && storageOf.get(v) === theirs);
      if (theirs.fixed || shared || theirs.last !== i || theirs.bytes !== mine.bytes || theirs === mine) continue;
      for (const v of mine.values) join(v, theirs, storageOf);
      theirs.last = Math.max(theirs.last, mine.last);
      mine.values.length = 0;
      return;
    }
  });
}

/** Which nodes run, which values share bytes, and from when to when each of these is live. */
export function lifetimes(graph: Graph): Lifetimes {
  const nodes = liveNodes(graph);
  const storages: Storage[] = [];
  const storageOf = new Map<Value, Storage>();
  nodes.forEach((node, i) => {
    for (const v of node.inputs) if (v !== null && !storageOf.has(v)) open(v, -1, storages, storageOf);
    node.outputs.forEach((v, k) => {
      if (v === null) return;
      const alias = node.op.alias?.[k];
      if (alias === undefined) open(v, i, storages, storageOf);
      else join(v, storageOf.get(node.inputs[alias]!)!, storageOf);
    });
  });
  for (const value of graph.results.values()) {
    if (!storageOf.has(value)) open(value, -1, storages, storageOf);
    storageOf.get(value)!.fixed ??= value;
  }
  lastUses(nodes, storageOf);
  overwrite(nodes, storageOf);
  return { nodes, storages: storages.filter((s) => s.values.length > 0), storageOf };
}
