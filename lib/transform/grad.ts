import { ShapeError } from '../errors.js';
import { at, type Graph, type Node, type Value } from '../graph/graph.js';
import { add } from '../ops/add.js';
import { slice } from '../ops/slice.js';

/** Marks every value that depends on one of `leaves`: only these carry gradients. */
function reachedFrom(graph: Graph, leaves: readonly Value[]): Set<Value> {
  const reached = new Set<Value>(leaves);
  for (const node of graph.nodes) {
    if (!node.inputs.some((v) => v !== null && reached.has(v))) continue;
    for (const out of node.outputs) if (out !== null) reached.add(out);
  }
  return reached;
}

function accumulate(grads: Map<Value, Value>, value: Value, gradient: Value): void {
  const sum = grads.get(value);
  grads.set(value, sum === undefined ? gradient : add(sum, gradient));
}

/** The gradient so far of the input to which the node's rule adds its own, unless it has fewer channels or another type. */
function soFar({ inputs, op }: Node, grads: Map<Value, Value>): Value | null {
  const value = op.addsTo === undefined ? null : inputs[op.addsTo]!;
  const sum = value ? grads.get(value) : undefined;
  return value && sum?.dtype === value.dtype && sum.shape.at(-1) === value.shape.at(-1) ? sum : null;
}

/** How many channels of a value's gradient are wanted: 0 where it carries none. */
type Wanted = (value: Value | null) => number;

/**
 * What each value's gradient is wanted of: all channels, but for what only joins a part that carries gradients with one that does not,
 * and ops after it that keep channels apart.
 */
function wantedOf(graph: Graph, reached: Set<Value>, narrow: boolean): Wanted {
  const fewer = new Map<Value, number>();
  const wanted: Wanted = (value) =>
    value === null || !reached.has(value) ? 0 : (fewer.get(value) ?? value.shape.at(-1) ?? 0);
  for (const node of narrow ? graph.nodes : []) {
    const out = node.outputs[0];
    if (out && node.op.leading && reached.has(out)) fewer.set(out, node.op.leading(node, node.inputs.map(wanted)));
  }
  return wanted;
}

function differentiate(node: Node, reached: Set<Value>, wanted: Wanted, grads: Map<Value, Value>): void {
  const outputs = node.outputs.map((v) => (v === null ? null : (grads.get(v) ?? null)));
  const needs = node.inputs.map((v) => v !== null && reached.has(v));
  if (outputs.every((g) => g === null) || !needs.includes(true)) return;
  const { vjp, name, addsTo } = node.op;
  if (!vjp) throw new ShapeError(`[${name}] has no gradient rule (at ${node.path})`);
  at(nodeGraph(node), node.path, 'backward', () => {
    const channels = node.inputs.map(wanted);
    const through = soFar(node, grads);
    const inputs = vjp(node, outputs, needs, channels, through);
    node.inputs.forEach((value, i) => {
      const gradient = inputs[i] ?? null;
      if (value === null || !needs[i] || gradient === null) return;
      if (through && i === addsTo) grads.delete(value);
      const end = channels[i]!;
      const isWide = gradient.shape.length > 0 && gradient.shape.at(-1)! > end;
      accumulate(grads, value, isWide ? slice(gradient, { start: 0, end }) : gradient);
    });
    for (const v of node.outputs) if (v !== null) grads.delete(v);
  });
}

function nodeGraph(node: Node): Graph {
  return (node.outputs.find((v) => v !== null) ?? node.inputs.find((v) => v !== null))!.graph;
}

/**
 * Appends the backward pass of `loss` ([1], f32) to its graph: reverse-mode, one gradient rule per op, only what `leaves` need.
 * @param seed the gradient of the loss itself, [1]
 * @param options narrow: leaves out channels of gradients that nobody wants, which makes `dx` of conv2dVjp narrower than its window's x
 * @returns the gradient of each leaf, or null for a leaf that does not reach the loss
 */
export function grad(
  loss: Value,
  seed: Value,
  leaves: readonly Value[],
  { narrow = false }: { readonly narrow?: boolean } = {},
): (Value | null)[] {
  const { graph } = loss;
  const reached = reachedFrom(graph, leaves);
  const grads = new Map<Value, Value>([[loss, seed]]);
  const wanted = new Set(leaves);
  const forward = graph.nodes.slice();
  const kept = new Map<Value, Value>();
  const channels = wantedOf(graph, reached, narrow);
  for (const node of forward.reverse()) differentiate(node, reached, channels, grads);
  for (const leaf of wanted) {
    const gradient = grads.get(leaf);
    if (gradient) kept.set(leaf, gradient);
  }
  return leaves.map((leaf) => kept.get(leaf) ?? null);
}
