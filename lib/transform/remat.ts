import { byteLength, type Graph, type Node, type Value } from '../graph/graph.js';

/** Parts of a network that are recomputed as one: residual blocks, transformer blocks, text encoder layers. */
const BLOCK = /^(.*\b(?:resnets|transformer_blocks|layers)\.\d+)(?:\.|$)/;

/** The innermost recomputable block a module path lies in, or undefined. */
export function blockOf(path: string): string | undefined {
  return BLOCK.exec(path)?.[1];
}

/** What recomputing one block would save and cost. */
export interface RecomputeCandidate {
  readonly block: string;
  /** Bytes of the block's inner values that the backward pass reads. */
  readonly savedBytes: number;
  /** Floating-point operations of running these again. */
  readonly flops: number;
}

/** What recomputing a block means: nodes to run again, in order, and the values they make again. */
interface Recompute {
  readonly nodes: Node[];
  readonly values: Set<Value>;
}

interface Uses {
  readonly byBackward: Set<Value>;
  /** Blocks, or '' for none, in which forward nodes read a value. */
  readonly byForward: Map<Value, Set<string>>;
}

function findUses(graph: Graph): Uses {
  const byBackward = new Set<Value>();
  const byForward = new Map<Value, Set<string>>();
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      if (value === null) continue;
      if (node.phase !== 'forward') byBackward.add(value);
      else byForward.set(value, (byForward.get(value) ?? new Set()).add(blockOf(node.path) ?? ''));
    }
  }
  for (const value of graph.results.values()) byForward.set(value, (byForward.get(value) ?? new Set()).add(''));
  return { byBackward, byForward };
}

function forwardBlocks(graph: Graph): Map<string, Node[]> {
  const blocks = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    const block = node.phase === 'forward' ? blockOf(node.path) : undefined;
    if (block === undefined) continue;
    const nodes = blocks.get(block);
    if (nodes) nodes.push(node);
    else blocks.set(block, [node]);
  }
  return blocks;
}

/** Inner values of the block that backward reads, and the nodes that make them from what stays: the block's inputs. */
function recomputeOf(nodes: readonly Node[], block: string, uses: Uses): Recompute {
  const inner = (v: Value): boolean => [...(uses.byForward.get(v) ?? [])].every((b) => b === block);
  const values = new Set<Value>();
  const again: Node[] = [];
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    const outputs = node.outputs.filter((v): v is Value => v !== null);
    const wanted = outputs.some((v) => values.has(v) || (uses.byBackward.has(v) && inner(v)));
    if (!wanted || node.op.effect || outputs.some((v) => v.home !== undefined)) continue;
    again.push(node);
    for (const v of outputs) if (inner(v)) values.add(v);
    for (const v of node.inputs) {
      if (v !== null && v.node?.phase === 'forward' && blockOf(v.node.path) === block && inner(v)) values.add(v);
    }
  }
  return { nodes: again.reverse(), values };
}

/** The value whose memory a view shows. */
function viewed(value: Value): Value {
  return value.node?.op.kernel === false ? viewed(value.node.inputs[0]!) : value;
}

/** Blocks of a differentiated graph, with what recomputing each saves and costs, in network order. */
export function recomputeCandidates(graph: Graph): RecomputeCandidate[] {
  const uses = findUses(graph);
  return [...forwardBlocks(graph)].map(([block, nodes]) => {
    const again = recomputeOf(nodes, block, uses);
    const kept = new Set([...again.values].filter((v) => uses.byBackward.has(v)).map(viewed));
    return {
      block,
      savedBytes: [...kept].reduce((sum, v) => sum + (again.values.has(v) ? byteLength(v) : 0), 0),
      flops: again.nodes.reduce((sum, node) => sum + (node.op.flops?.(node) ?? 0), 0),
    };
  });
}

function copyNode(graph: Graph, node: Node, copies: Map<Value, Value>): Node {
  const outputs: (Value | null)[] = [];
  const inputs = node.inputs.map((v) => (v === null ? null : (copies.get(v) ?? v)));
  const copy: Node = { ...node, id: graph.nodes.length, inputs, outputs, phase: 'backward' };
  for (const value of node.outputs) {
    if (value === null) outputs.push(null);
    else {
      const again: Value = { ...value, id: graph.values.length, graph, node: copy };
      graph.values.push(again);
      outputs.push(again);
    }
  }
  node.outputs.forEach((value, i) => {
    if (value !== null) copies.set(value, outputs[i]!);
  });
  return copy;
}

/**
 * Recomputes blocks: their inner values are made a second time just before the backward pass first reads one of them, from
 * the block's own inputs, by the same ops on the same buffers (masks included), so that every number stays the same.
 * @param blocks module paths as `recomputeCandidates` names them
 * @returns a new graph over the same leaves and results
 */
export function remat(graph: Graph, blocks: ReadonlySet<string>): Graph {
  const uses = findUses(graph);
  const plans = new Map<string, Recompute>();
  const blockOfValue = new Map<Value, string>();
  for (const [block, nodes] of forwardBlocks(graph)) {
    if (!blocks.has(block)) continue;
    const again = recomputeOf(nodes, block, uses);
    plans.set(block, again);
    for (const v of again.values) blockOfValue.set(v, block);
  }
  const made: Graph = { ...graph, nodes: [], values: graph.values.slice() };
  const copies = new Map<Value, Value>();
  const emit = (block: string): void => {
    const again = plans.get(block);
    plans.delete(block);
    const local = new Map(copies);
    for (const node of again?.nodes ?? []) made.nodes.push(copyNode(made, node, local));
    for (const v of again?.values ?? []) copies.set(v, local.get(v)!);
  };
  for (const node of graph.nodes) {
    if (node.phase !== 'forward') for (const v of node.inputs) if (v !== null) emit(blockOfValue.get(v) ?? '');
    const inputs =
      node.phase === 'forward' ? node.inputs : node.inputs.map((v) => (v === null ? null : (copies.get(v) ?? v)));
    made.nodes.push({ ...node, id: made.nodes.length, inputs });
  }
  return made;
}
