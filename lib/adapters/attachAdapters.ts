import { at, elements, type Graph, input, state, type Value } from '../graph/graph.js';
import { linearOp } from '../ops/linear.js';
import { type LowRankFactors, lowRank } from '../ops/lowRank.js';
import { lowRankBranch } from '../ops/lowRankBranch.js';
import { lowRankFactors, type StackedFactors } from '../ops/lowRankFactors.js';
import { mergedLinear } from '../ops/mergedLinear.js';
import { reshape } from '../ops/reshape.js';
import { type Judged, retract, retractTable } from '../ops/retract.js';
import { type AdapterLayout, frameSlices, type ValueKind, valueName } from './adapterLayout.js';
import type { AdaptedLayer } from './adapterSpec.js';

/** Adapters within a graph. */
export interface AttachedAdapters {
  /** A linear layer's output with its adapter; layers outside the layout keep their output. */
  readonly hook: (path: string, x: Value, base: Value) => Value;
  /**
   * The same for layers whose outputs lie side by side in one product of x; null where the form of the branches cannot take them as one,
   * or only some of them have adapters, or adapters of other shapes.
   */
  readonly joinedHook: (paths: readonly string[]) => ((x: Value, base: Value) => Value) | null;
  /** The trained values met so far, slices of the state buffer `params`, each once. */
  readonly leaves: () => readonly Value[];
  /** Paths of the adapted layers met so far. */
  readonly paths: () => readonly string[];
  /** Elements of each flat buffer. */
  readonly total: number;
  /** With `retract`: appends the QR of all frames, of steps that are applied; the host writes `retractFeed` once. */
  readonly afterUpdate?: (graph: Graph, judged: Judged) => void;
}

/** How a device computes the branches; empty: each for itself, which only the CPU can. */
export interface BranchForm {
  /**
   * A CUDA device's: the part of the network that a layer, by its path, belongs to. Factors of a part's layers are formed together, where
   * the first of them runs, so that recomputing a part forms them again; layers outside any part have their own.
   */
  readonly partOf?: (path: string) => string | undefined;
  /** With `partOf`: the layers, itself among them, that a layer is computed with as one product, where they all have adapters. */
  readonly joinOf?: (path: string) => readonly string[] | undefined;
  /**
   * Adds changes to the weights, where that takes fewer operations: in float32 on the CPU only. Shorter types would lose small changes,
   * and other devices have no need. Samples with ranks of their own keep their branches.
   */
  readonly merge?: boolean;
}

export interface AttachOptions extends BranchForm {
  /** Factor on the adapters' change, default 1. */
  readonly strength?: number;
  /** Re-orthonormalise after each optimizer step. */
  readonly retract?: boolean;
  /** All samples of a pass have the same rank; one sample always has. */
  readonly equalRanks?: boolean;
}

const RETRACT_TABLE = 'retractTable';

/**
 * Hooks for a model's linear layers and 1×1 convolutions. Every graph that uses them has the input `activeRank` [n] i32: sample i uses the first
 * activeRank[i] components (of a narrower layer, all it has). Values are slices of the state buffers `params` and, for the
 * start of orthogonal variants, `base`.
 */
export function attachAdapters(graph: Graph, layout: AdapterLayout, options: AttachOptions = {}): AttachedAdapters {
  const layers = new Map(layout.layers.map((layer) => [layer.path, layer]));
  const leaves = new Map<string, Value>();
  const met = new Set<string>();
  const slice = (buffer: string, path: string, kind: ValueKind): Value => {
    const name = valueName(path, kind);
    const { offset, shape } = layout.flat.entries.get(name)!;
    return state(graph, buffer, offset, shape, buffer === 'params' ? name : `${name} at the start`);
  };
  const trained = (path: string, kind: ValueKind): Value => {
    const value = slice('params', path, kind);
    leaves.set(value.name, value);
    return value;
  };
  const within: Branch = { layout, layers, options, slice, trained, stacks: new Map() };
  const hook = (path: string, x: Value, base: Value): Value => {
    if (!layers.has(path)) return base;
    met.add(path);
    return asRows(x, base, (rows, baseRows) => branch([path], rows, baseRows, within));
  };
  const joinedHook = (paths: readonly string[]): ((x: Value, base: Value) => Value) | null => {
    if (!paths.some((path) => layers.has(path))) return (_x, base) => base;
    if (joined(paths[0]!, within)?.join() !== paths.join()) return null;
    return (x, base) => {
      for (const path of paths) met.add(path);
      return branch(paths, x, base, within);
    };
  };
  const { total } = layout.flat;
  const attached = { hook, joinedHook, leaves: () => [...leaves.values()], paths: () => [...met], total };
  return options.retract
    ? { ...attached, afterUpdate: (target, judged) => appendRetract(target, layout, judged) }
    : attached;
}

/**
 * A branch on [n, t, c], also of a layer on single rows [n, c], or on pictures [n, h, w, c] of which it is a 1×1 convolution.
 */
function asRows(x: Value, base: Value, body: (x: Value, base: Value) => Value): Value {
  if (x.shape.length === 3) return body(x, base);
  const [n, ...sizes] = x.shape;
  const t = sizes.slice(0, -1).reduce((a, b) => a * b, 1);
  const rows = (value: Value): Value => reshape(value, [n!, t, value.shape.at(-1)!]);
  return reshape(body(rows(x), rows(base)), base.shape);
}

type Slice = (path: string, kind: ValueKind) => Value;

interface Branch {
  layout: AdapterLayout;
  /** Those of the layout, by path. */
  layers: ReadonlyMap<string, AdaptedLayer>;
  options: AttachOptions;
  slice: (buffer: string, path: string, kind: ValueKind) => Value;
  trained: Slice;
  /** Stacked factors formed so far, by the paths of their layers. */
  stacks: Map<string, StackedFactors>;
}

function factorsOf(path: string, { layout, slice }: Branch, trained: Slice): LowRankFactors {
  return {
    up: trained(path, 'lora_up'),
    down: trained(path, 'lora_down'),
    ...(layout.orthogonal && {
      lambda: trained(path, 'lora_lambda'),
      up0: slice('base', path, 'lora_up'),
      down0: slice('base', path, 'lora_down'),
      lambda0: slice('base', path, 'lora_lambda'),
    }),
  };
}

/** The branch of one layer, or of several that are one product. */
function branch(paths: readonly string[], x: Value, base: Value, within: Branch): Value {
  const { options, trained } = within;
  const [factors] = paths.map((path) => factorsOf(path, within, trained));
  const activeRank = input(x.graph, 'activeRank', [x.shape[0]!], 'i32');
  const scale = options.strength ?? 1;
  if (options.partOf) return lowRankBranch(base, x, stackedFactors(paths, x, activeRank, within), { scale });
  if (!merges(x, base, options)) return lowRank(base, x, factors!, activeRank, { scale });
  const [, w, b] = base.node!.inputs;
  return mergedLinear(x, w!, b ?? null, factors!, activeRank, { scale });
}

/** The layers that a layer's factors are stacked with, itself among them; undefined: none. */
function joined(path: string, { layers, options }: Branch): readonly string[] | undefined {
  const paths = options.partOf ? options.joinOf?.(path) : undefined;
  const shapes = new Set(
    paths?.map((p) => {
      const layer = layers.get(p);
      return layer && `${layer.in} ${layer.out} ${layer.rank}`;
    }),
  );
  return shapes.size === 1 && !shapes.has(undefined) ? paths : undefined;
}

/** The layers of a part of the network in the groups that are stacked, each once. */
function groupsOf(part: string, within: Branch): (readonly string[])[] {
  const { layers, options } = within;
  const paths = [...layers.keys()].filter((path) => (options.partOf?.(path) ?? path) === part);
  const groups = paths.map((path) => joined(path, within) ?? [path]);
  return [...new Map(groups.map((group) => [group.join(), group])).values()];
}

/**
 * The factors of a layer, or of several that are one product, formed with those of their whole part of the network unless they are there.
 * Layers that are computed in other groups than expected have factors of their own.
 */
function stackedFactors(paths: readonly string[], x: Value, activeRank: Value, within: Branch): StackedFactors {
  const { options, slice, stacks } = within;
  const key = paths.join();
  const known = stacks.get(key);
  if (known) return known;
  const part = options.partOf?.(paths[0]!) ?? paths[0]!;
  const expected = groupsOf(part, within);
  const groups = expected.some((group) => group.join() === key) ? expected : [paths];
  const factors = groups.map((group) => group.map((p) => factorsOf(p, within, (q, kind) => slice('params', q, kind))));
  const { equalRanks = false } = options;
  const { graph, dtype } = x;
  const formed = at(graph, part, graph.phase, () => lowRankFactors(factors, activeRank, { dtype, equalRanks }));
  for (const [i, group] of groups.entries()) stacks.set(group.join(), formed[i]!);
  return stacks.get(key)!;
}

/**
 * Whether a layer's change is added to its weight. For r components a merge costs 4 r i o, forward and backward, and saves the branch's
 * 4 r rows (i + o) forward and 2 of it backward; half of where both are equal leaves room for what the merged weight costs besides.
 */
function merges(x: Value, base: Value, { merge = false, equalRanks = false }: AttachOptions): boolean {
  const [n, t, width] = x.shape as [number, number, number];
  const out = base.shape.at(-1)!;
  const computed = base.node?.op === linearOp && base.node.inputs[0] === x;
  return merge && computed && x.dtype === 'f32' && (equalRanks || n === 1) && 2 * width * out <= n * t * (width + out);
}

function appendRetract(graph: Graph, layout: AdapterLayout, judged: Judged): void {
  const slices = frameSlices(layout);
  const params = state(graph, 'params', 0, [layout.flat.total], 'all of params');
  retract(params, input(graph, RETRACT_TABLE, [slices.length, 4], 'i32'), slices, judged);
}

/** What a graph with `retract` must be given once, by input. */
export function retractFeed(layout: AdapterLayout): Record<string, Int32Array> {
  return { [RETRACT_TABLE]: retractTable(frameSlices(layout)) };
}

/** Elements of all trained values, without the padding between them. */
export function trainedElements(layout: AdapterLayout): number {
  return [...layout.flat.entries.values()].reduce((sum, { shape }) => sum + elements(shape), 0);
}
