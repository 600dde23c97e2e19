// The float64 meaning of graphs: slow, plain, and the judge of every kernel and every gradient rule.
import { elements, type Graph, type Node, type Value } from '../../lib/graph/graph.js';
import { meanings } from './meaning/index.js';

/** One tensor in float64 (integers too), row-major. */
export interface Tensor64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** What an op means: its outputs from its inputs. `outputs[i]` is null where nobody asked. It must not change its inputs. */
export type Meaning = (
  inputs: readonly (Tensor64 | null)[],
  attrs: Readonly<Record<string, number>>,
  outputs: readonly (Value | null)[],
) => (Float64Array | null)[];

export function tensor64(shape: readonly number[], data: ArrayLike<number>): Tensor64 {
  const copy = Float64Array.from(data);
  if (copy.length !== elements(shape))
    throw new Error(`[${shape}] needs ${elements(shape)} values, got ${copy.length}`);
  return { shape, data: copy };
}

/** Rounds what an op gave for a value, as an engine that keeps it in the value's type would. */
export type Rounding = (value: Value, data: Float64Array) => Float64Array;

function runNode(
  node: Node,
  values: Map<Value, Float64Array>,
  rounding: Rounding,
  replaced: Readonly<Record<string, Meaning>>,
): void {
  const inputs = node.inputs.map((v) => (v === null ? null : { shape: v.shape, data: read(values, v) }));
  if (node.op.kernel === false) {
    values.set(node.outputs[0]!, inputs[0]!.data);
    return;
  }
  const meaning = replaced[node.op.name] ?? meanings[node.op.name];
  if (!meaning) throw new Error(`no meaning for op ${node.op.name}: add test/support/meaning/${node.op.name}.ts`);
  const outputs = meaning(inputs, node.attrs, node.outputs);
  node.outputs.forEach((value, i) => {
    if (value === null) return;
    const exact = outputs[i];
    if (!exact || exact.length !== elements(value.shape)) {
      throw new Error(`${node.op.name}: output ${i} is [${value.shape}], its meaning gave ${exact?.length} values`);
    }
    const data = rounding(value, exact);
    values.set(value, data);
    const alias = node.op.alias?.[i];
    if (alias !== undefined) values.set(node.inputs[alias]!, data);
  });
}

function read(values: Map<Value, Float64Array>, value: Value): Float64Array {
  const data = values.get(value);
  if (!data) throw new Error(`no value for ${value.leaf?.kind ?? 'computed'} '${value.name}'`);
  return data;
}

/**
 * Runs all nodes of `graph` in order on float64 leaves; gives every value, exact unless results are to be rounded.
 * @param replaced meanings, by name of their op, in place of the usual ones: those that round within an op
 */
export function interpret(
  graph: Graph,
  leaves: ReadonlyMap<Value, Float64Array>,
  rounding: Rounding = (_value, exact) => exact,
  replaced: Readonly<Record<string, Meaning>> = {},
): Map<Value, Float64Array> {
  const values = new Map(leaves);
  for (const node of graph.nodes) runNode(node, values, rounding, replaced);
  return values;
}
