import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectThat } from '../graph/shapes.js';

/** Multiply-adds of one product over all pairs of tokens, both counted: 2 · n · t · t · c. */
function productFlops(qkv: Value): number {
  const [n, t, channels] = qkv.shape as [number, number, number];
  return (2 * n * t * t * channels) / 3;
}

/**
 * attention of the thirds of one tensor, which is what a stacked product gives: qkv [n, t, 3c] has channels q | k | v, and heads lie within
 * each third. Results as attention's: o [n, t, c] and lse [n, heads, t], f32. CUDA devices' alone.
 */
export const selfAttentionOp: Op = {
  name: 'selfAttention',
  attrs: ['heads'],
  flops: (node) => 2 * productFlops(node.inputs[0]!),
  vjp: (node, [dO]) => [selfAttentionVjp(node, dO!)],
};

/** dqkv [n, t, 3c] = dq | dk | dv, each as attentionVjp's, in place. Inputs: qkv, o, lse, do. */
export const selfAttentionVjpOp: Op = {
  name: 'selfAttentionVjp',
  attrs: ['heads'],
  flops: (node) => 5 * productFlops(node.inputs[0]!),
  // delta [n, heads, t] = rowdot(do, o) / √d
  scratchBytes: (node) => 4 * elements(node.inputs[2]!.shape),
};

function selfAttentionVjp(node: Node, dO: Value): Value {
  const qkv = node.inputs[0]!;
  const [o, lse] = node.outputs as [Value, Value];
  const outputs = [{ name: 'dqkv', shape: qkv.shape, dtype: qkv.dtype }];
  return addNode(qkv.graph, selfAttentionVjpOp, [qkv, o, lse, dO], outputs, node.attrs).outputs[0]!;
}

/**
 * Attention of a tensor's tokens to each other over heads, scaled by 1 / √(c / heads): attention(q, k, v) without copies of the three.
 * Head h of each third has its channels h·d up to (h+1)·d, d = c / heads.
 * @param qkv [n, t, 3c], channels q | k | v
 * @returns o [n, t, c]
 * @throws ShapeError
 */
export function selfAttention(qkv: Value, { heads }: { heads: number }): Value {
  const op = 'selfAttention';
  expectRank(op, 'qkv', qkv, 3);
  const [n, t, channels] = qkv.shape as [number, number, number];
  expectThat(channels % 3 === 0, op, 'channels of qkv', 'a multiple of 3', `${channels}`, qkv);
  const c = channels / 3;
  const divides = Number.isInteger(heads) && heads > 0 && c % heads === 0;
  expectThat(divides, op, 'heads', `a divisor of ${c} channels`, `${heads}`, qkv);
  const outputs = [
    { name: 'o', shape: [n, t, c], dtype: qkv.dtype },
    { name: 'lse', shape: [n, heads, t], dtype: 'f32' as const },
  ];
  return addNode(qkv.graph, selfAttentionOp, [qkv], outputs, { heads }).outputs[0]!;
}
