import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectShape, expectSize, expectThat } from '../graph/shapes.js';

export interface AttentionOptions {
  /** Heads are interleaved in the channels: head h has channels h·d up to (h+1)·d, d = c / heads. */
  heads: number;
  /** true: query i sees keys 0 to i only (needs tq = tk). Default false. */
  causal?: boolean;
}

/** Multiply-adds of one product over all query-key pairs, both counted: 2 · n · tq · tk · c. */
function productFlops(node: Node): number {
  const [n, tq, c] = node.inputs[0]!.shape as [number, number, number];
  return 2 * n * tq * node.inputs[1]!.shape[1]! * c;
}

/** o = softmax(q·kᵀ / √d) · v for each head; lse [n, heads, tq] = log of the sum of exp of the scaled scores, f32. */
export const attentionOp: Op = {
  name: 'attention',
  attrs: ['heads', 'causal'],
  flops: (node) => 2 * productFlops(node),
  vjp: (node, [dO], needs) => {
    const [q, k, v] = node.inputs as [Value, Value, Value];
    const [o, lse] = node.outputs as [Value, Value];
    return attentionVjp(node, [q, k, v, o, lse, dO!], needs);
  },
};

/** Probabilities are recomputed from lse: p = exp(s − lse), dv = pᵀ·do, ds = p ∘ (do·vᵀ − rowdot(do, o)), dq = ds·k/√d, dk = dsᵀ·q/√d. */
export const attentionVjpOp: Op = {
  name: 'attentionVjp',
  attrs: ['heads', 'causal'],
  flops: (node) => {
    const [dq, dk, dv] = node.outputs;
    return ((dq || dk ? 2 : 1) + [dq, dk, dv].filter((wanted) => wanted).length) * productFlops(node);
  },
  // delta [n, heads, tq] = rowdot(do, o) / √d
  scratchBytes: (node) => 4 * node.inputs[4]!.shape.reduce((a, b) => a * b, 1),
};

/**
 * Attention over heads, scaled by 1 / √(c / heads); no tq × tk matrix is ever stored.
 * @param q [n, tq, c]
 * @param k [n, tk, c]
 * @param v [n, tk, c]
 * @returns o [n, tq, c]
 * @throws ShapeError
 */
export function attention(q: Value, k: Value, v: Value, { heads, causal = false }: AttentionOptions): Value {
  expectRank('attention', 'q', q, 3);
  expectRank('attention', 'k', k, 3);
  const [n, tq, c] = q.shape as [number, number, number];
  expectSize('attention', 'batch of k', k, k.shape[0], n);
  expectSize('attention', 'channels of k', k, k.shape[2], c);
  expectShape('attention', 'v', v, k.shape);
  const divides = Number.isInteger(heads) && heads > 0 && c % heads === 0;
  expectThat(divides, 'attention', 'heads', `a divisor of ${c} channels`, `${heads}`, q);
  expectThat(c / heads <= 4096, 'attention', 'head width', 'at most 4096', `${c / heads}`, q); // tiles of a thread's workspace
  if (causal) expectSize('attention', 'tokens of k under a causal mask', k, k.shape[1], tq);
  const outputs = [
    { name: 'o', shape: q.shape, dtype: q.dtype },
    { name: 'lse', shape: [n, heads, tq], dtype: 'f32' as const },
  ];
  return addNode(q.graph, attentionOp, [q, k, v], outputs, { heads, causal: causal ? 1 : 0 }).outputs[0]!;
}

function attentionVjp(node: Node, inputs: readonly Value[], needs: readonly boolean[]): (Value | null)[] {
  const names = ['dq', 'dk', 'dv'];
  const outputs = names.map((name, i) => {
    const { shape, dtype } = inputs[i]!;
    return needs[i] ? { name, shape, dtype } : null;
  });
  return [...addNode(inputs[0]!.graph, attentionVjpOp, inputs, outputs, node.attrs).outputs];
}
