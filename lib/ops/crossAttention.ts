import { addNode, elements, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectRank, expectShape, expectThat } from '../graph/shapes.js';

/** Multiply-adds of one product over all query-key pairs, both counted: 2 · n · tq · tk · c. */
function productFlops(q: Value, kv: Value): number {
  return 2 * elements(q.shape) * kv.shape[1]!;
}

/**
 * attention of queries to keys and values that are halves of one tensor, which is what a stacked product gives: kv [n, tk, 2c] has channels
 * k | v, and heads lie within each half. Results as attention's: o [n, tq, c] and lse [n, heads, tq], f32. CUDA devices' alone.
 */
export const crossAttentionOp: Op = {
  name: 'crossAttention',
  attrs: ['heads'],
  flops: ({ inputs: [q, kv] }) => 2 * productFlops(q!, kv!),
  vjp: (node, [dO], needs) => crossAttentionVjp(node, dO!, needs),
};

/** dq, and dkv [n, tk, 2c] = dk | dv, each as attentionVjp's. Inputs: q, kv, o, lse, do. */
export const crossAttentionVjpOp: Op = {
  name: 'crossAttentionVjp',
  attrs: ['heads'],
  flops: ({ inputs: [q, kv], outputs: [dq, dkv] }) => (2 + (dq ? 1 : 0) + (dkv ? 2 : 0)) * productFlops(q!, kv!),
  // delta [n, heads, tq] = rowdot(do, o) / √d
  scratchBytes: (node) => 4 * elements(node.inputs[3]!.shape),
};

function crossAttentionVjp(node: Node, dO: Value, needs: readonly boolean[]): (Value | null)[] {
  const [q, kv] = node.inputs as [Value, Value];
  const [o, lse] = node.outputs as [Value, Value];
  const outputs = [q, kv].map(({ shape, dtype }, i): OutputSpec | null => {
    return needs[i] ? { name: ['dq', 'dkv'][i]!, shape, dtype } : null;
  });
  return [...addNode(q.graph, crossAttentionVjpOp, [q, kv, o, lse, dO], outputs, node.attrs).outputs];
}

/**
 * Attention of tokens to others over heads, scaled by 1 / √(c / heads): attention(q, k, v) without copies of k and v. Head h of q and of
 * each half has its channels h·d up to (h+1)·d, d = c / heads.
 * @param q [n, tq, c]
 * @param kv [n, tk, 2c], channels k | v
 * @returns o [n, tq, c]
 * @throws ShapeError
 */
export function crossAttention(q: Value, kv: Value, { heads }: { heads: number }): Value {
  const op = 'crossAttention';
  expectRank(op, 'q', q, 3);
  expectRank(op, 'kv', kv, 3);
  const [n, tq, c] = q.shape as [number, number, number];
  expectShape(op, 'kv', kv, [n, kv.shape[1]!, 2 * c]);
  const divides = Number.isInteger(heads) && heads > 0 && c % heads === 0;
  expectThat(divides, op, 'heads', `a divisor of ${c} channels`, `${heads}`, q);
  const outputs = [
    { name: 'o', shape: q.shape, dtype: q.dtype },
    { name: 'lse', shape: [n, heads, tq], dtype: 'f32' as const },
  ];
  return addNode(q.graph, crossAttentionOp, [q, kv], outputs, { heads }).outputs[0]!;
}
