import { ShapeError } from '../errors.js';

/** Element types of values. Frozen weights keep the type of their file; on the CPU everything computed is f32 or i32. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32';

export const DTYPE_BYTES: Record<DType, number> = { f32: 4, f16: 2, bf16: 2, i32: 4 };

export type Shape = readonly number[];

/**
 * Where the bytes of a leaf live.
 * - `input`: written by the host before a run; persistent, one per program.
 * - `weight`: a frozen tensor of a checkpoint, bound by `name` to the engine's weight store; `rows`: several, named here, whose rows lie
 *   below each other.
 * - `state`: a slice of a named flat buffer of the engine (parameters, gradients, moments), at `offset` elements.
 */
export type Leaf =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'weight'; readonly name: string; readonly rows?: readonly string[] }
  | { readonly kind: 'state'; readonly buffer: string; readonly offset: number };

/** One tensor of the graph: the output of a node, or a leaf. Row-major; pictures are [n, h, w, c], token rows [n, t, c]. */
export interface Value {
  readonly id: number;
  readonly graph: Graph;
  readonly shape: Shape;
  readonly dtype: DType;
  /** What it is called in printed graphs and errors: an output's name, an input's, or a weight's key. */
  readonly name: string;
  readonly leaf?: Leaf;
  readonly node?: Node;
  /** A computed value that must be written to a slice of a state buffer instead of the arena (gradients). */
  home?: { readonly buffer: string; readonly offset: number };
}

export interface Node {
  readonly id: number;
  readonly op: Op;
  /** null: an optional input that is absent. */
  readonly inputs: readonly (Value | null)[];
  /** null: an output that nobody asked for; the kernel skips it. */
  readonly outputs: readonly (Value | null)[];
  readonly attrs: Readonly<Record<string, number>>;
  /** Provenance: the module path of the checkpoint, such as `down_blocks.0.resnets.0.conv1`. */
  readonly path: string;
  readonly phase: Phase;
}

export type Phase = 'forward' | 'backward' | 'update';

export interface OutputSpec {
  name: string;
  shape: Shape;
  dtype: DType;
}

/** What a room of ops gives for one op: its shape rule, its gradient rule, and what the planner and the encoder must know. */
export interface Op {
  readonly name: string;
  /** Names of numeric attributes, in the order in which the encoded plan carries them. */
  readonly attrs: readonly string[];
  /**
   * Gradients of the inputs, given those of the outputs (null: that output does not reach the loss).
   * `needs[i]` says whether input i's gradient is wanted; return null for the others. Of an input's gradient only the channels before
   * `wanted[i]` on the last axis are; a rule may leave out the rest. `through`: see addsTo.
   */
  readonly vjp?: (
    node: Node,
    grads: readonly (Value | null)[],
    needs: readonly boolean[],
    wanted: readonly number[],
    through?: Value | null,
  ) => (Value | null)[];
  /** The input whose gradient from elsewhere the rule adds: it gets what there is of that as `through`, or null, and gives the sum. */
  readonly addsTo?: number;
  /**
   * How many channels from the first on the rule needs of the gradient of output 0, to give `wanted` channels of those of the inputs (0:
   * none). Absent: all. Given fewer, the rule gets a gradient with no more than these.
   */
  readonly leading?: (node: Node, wanted: readonly number[]) => number;
  /** Output i shares the memory of input `alias[i]`: views (`kernel: false`) and in-place updates of state. */
  readonly alias?: Readonly<Record<number, number>>;
  /** Output 0 may be written over one of these inputs if that input dies here (elementwise kernels only). */
  readonly overwrites?: readonly number[];
  /** Inputs that read a frozen weight as a matrix [rows out, columns], to be packed for GEMM once. */
  readonly matrices?: readonly number[];
  /** false: a pure view, nothing runs. */
  readonly kernel?: boolean;
  /** true: runs for its effect (writes state), even if nobody reads its outputs. */
  readonly effect?: boolean;
  /** Floating-point operations of one call, multiply and add counted as two. */
  readonly flops?: (node: Node) => number;
  /** Bytes of scratch memory one call needs beside its outputs, for a number of threads. */
  readonly scratchBytes?: (node: Node, threads: number) => number;
  /** The same for the CUDA kernel, where it needs other scratch than the CPU's would with one thread. */
  readonly cudaScratchBytes?: (node: Node) => number;
}

/** A static graph: nodes in execution order, and leaves. It knows no op. */
export interface Graph {
  readonly nodes: Node[];
  readonly values: Value[];
  readonly leaves: Map<string, Value>;
  /** What a run must leave readable for the host, by name. */
  readonly results: Map<string, Value>;
  path: string;
  phase: Phase;
}

export function createGraph(): Graph {
  return { nodes: [], values: [], leaves: new Map(), results: new Map(), path: '', phase: 'forward' };
}

export function elements(shape: Shape): number {
  return shape.reduce((a, b) => a * b, 1);
}

export function byteLength(value: Value): number {
  return elements(value.shape) * DTYPE_BYTES[value.dtype];
}

/** Runs `body` with `path` appended to the graph's provenance. */
export function within<T>(graph: Graph, path: string, body: () => T): T {
  const outer = graph.path;
  graph.path = outer === '' ? path : path === '' ? outer : `${outer}.${path}`;
  try {
    return body();
  } finally {
    graph.path = outer;
  }
}

/** Runs `body` with exact provenance and phase (used by the gradient pass). */
export function at<T>(graph: Graph, path: string, phase: Phase, body: () => T): T {
  const outer = { path: graph.path, phase: graph.phase };
  Object.assign(graph, { path, phase });
  try {
    return body();
  } finally {
    Object.assign(graph, outer);
  }
}

function newValue(graph: Graph, value: Omit<Value, 'id' | 'graph'>): Value {
  const made: Value = { id: graph.values.length, graph, ...value };
  graph.values.push(made);
  return made;
}

function addLeaf(graph: Graph, key: string, shape: Shape, dtype: DType, name: string, leaf: Leaf): Value {
  const known = graph.leaves.get(key);
  if (known) {
    if (known.dtype === dtype && known.shape.join() === shape.join()) return known;
    throw new ShapeError(
      `${leaf.kind} '${name}': expected ${known.dtype} [${known.shape}], got ${dtype} [${shape}] (at ${graph.path})`,
    );
  }
  const value = newValue(graph, { shape, dtype, name, leaf });
  graph.leaves.set(key, value);
  return value;
}

/** A buffer that the host writes before a run. Asking twice for the same name gives the same value. */
export function input(graph: Graph, name: string, shape: Shape, dtype: DType = 'f32'): Value {
  return addLeaf(graph, `input:${name}`, shape, dtype, name, { kind: 'input', name });
}

/**
 * A frozen weight, by its name in the engine's weight store. Convolution weights are [out, kh, kw, in].
 * @param rows names of the tensors, of equal shapes, whose rows it has below each other
 */
export function weight(graph: Graph, name: string, shape: Shape, dtype: DType, rows?: readonly string[]): Value {
  return addLeaf(graph, `weight:${name}`, shape, dtype, name, { kind: 'weight', name, ...(rows && { rows }) });
}

/** A slice of the flat state buffer `buffer`, `offset` elements in. */
export function state(graph: Graph, buffer: string, offset: number, shape: Shape, name: string): Value {
  const key = `state:${buffer}:${offset}:${name}`;
  return addLeaf(graph, key, shape, 'f32', name, { kind: 'state', buffer, offset });
}

/** Adds a node. `outputs` may hold null for results that nobody asked for. */
export function addNode(
  graph: Graph,
  op: Op,
  inputs: readonly (Value | null)[],
  outputs: readonly (OutputSpec | null)[],
  attrs: Readonly<Record<string, number>> = {},
): Node {
  for (const name of op.attrs) {
    if (!Number.isFinite(attrs[name])) {
      throw new ShapeError(`[${op.name}] attribute ${name}: expected a number, got ${attrs[name]} (at ${graph.path})`);
    }
  }
  const values: (Value | null)[] = [];
  const node: Node = {
    id: graph.nodes.length,
    op,
    inputs,
    outputs: values,
    attrs,
    path: graph.path,
    phase: graph.phase,
  };
  for (const spec of outputs) values.push(spec === null ? null : newValue(graph, { ...spec, node }));
  graph.nodes.push(node);
  return node;
}

/** Marks a value as readable after a run, under `name`. */
export function result(graph: Graph, name: string, value: Value): void {
  graph.results.set(name, value);
}
