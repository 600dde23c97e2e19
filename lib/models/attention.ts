// diffusers models/attention.py and attention_processor.py
import type { Value } from '../graph/graph.js';
import { attention } from '../ops/attention.js';
import { crossAttention } from '../ops/crossAttention.js';
import { geglu } from '../ops/geglu.js';
import { selfAttention } from '../ops/selfAttention.js';
import type { ParamNode } from '../params/paramTree.js';
import { addedTo, inside, joinedLinearLayers, layerNormLayer, linearLayer, module } from './layers.js';

export interface AttentionBlockOptions {
  heads: number;
  /** Whether to_q, to_k and to_v have a bias; to_out.0 always has. Default false. */
  bias?: boolean;
  /** [n, t, c]: what to_out.0 adds to its product. Default none. */
  residual?: Value | null;
}

/**
 * Attention: to_out.0(softmax(q kᵀ / √d) v). On a CUDA device what reads the same is one product where it
 * can be: q, k and v of self-attention, k and v of cross-attention.
 * @param x [n, t, c]
 * @param context [n, s, e] for cross-attention, x itself for self-attention
 * @returns [n, t, c]
 */
export function attentionBlock(p: ParamNode, x: Value, context: Value, options: AttentionBlockOptions): Value {
  const out = x.shape.at(-1)!;
  const { heads, bias = false, residual = null } = options;
  return module(p, () => {
    const qkv = context === x ? joinedLinearLayers(p, QKV, x, { out, bias }) : null;
    const o = qkv ? inside(p, () => selfAttention(qkv, { heads })) : attend(p, x, context, { out, heads, bias });
    return linearLayer(p.child('to_out.0'), o, { out, residual });
  });
}

function attend(
  p: ParamNode,
  x: Value,
  context: Value,
  { out, heads, bias }: { out: number; heads: number; bias: boolean },
): Value {
  const q = linearLayer(p.child('to_q'), x, { out, bias });
  const kv = context === x ? null : joinedLinearLayers(p, KV, context, { out, bias });
  if (kv) return inside(p, () => crossAttention(q, kv, { heads }));
  const k = linearLayer(p.child('to_k'), context, { out, bias });
  const v = linearLayer(p.child('to_v'), context, { out, bias });
  return inside(p, () => attention(q, k, v, { heads }));
}

const QKV = ['to_q', 'to_k', 'to_v'];
/** What cross-attention reads the text states with. */
export const KV: readonly string[] = ['to_k', 'to_v'];
const JOINED = /^((?:.*\.)?attn(?:1(?=\.to_[qkv]$)|2(?=\.to_[kv]$)))/;

/** Of the path of a linear layer of a transformer block's attention, those of all that are one product with it; of others undefined. */
export function joinedInputs(path: string): string[] | undefined {
  const module = JOINED.exec(path)?.[1];
  return module === undefined ? undefined : (module.endsWith('1') ? QKV : KV).map((name) => `${module}.${name}`);
}

/** FeedForward with GEGLU: net.2(a · gelu(b)), [a, b] = net.0.proj x, inner width 4c; and `residual` [n, t, c], which net.2 adds. */
export function feedForward(p: ParamNode, x: Value, residual: Value | null = null): Value {
  const c = x.shape.at(-1)!;
  return module(p, () => {
    const gate = p.child('net.0');
    const h = module(gate, () => {
      const pair = linearLayer(gate.child('proj'), x, { out: 8 * c });
      return inside(gate, () => geglu(pair));
    });
    return linearLayer(p.child('net.2'), h, { out: c, residual });
  });
}

/**
 * BasicTransformerBlock: x + attn1(norm1 x), then + attn2(norm2 x, context), then + ff(norm3 x).
 * @param x [n, t, c]
 * @param context text states [n, s, e]
 */
export function basicTransformerBlock(p: ParamNode, x: Value, context: Value, heads: number): Value {
  return module(p, () => {
    const norm1 = layerNormLayer(p.child('norm1'), x);
    const h1 = addedTo(p, x, (residual) => attentionBlock(p.child('attn1'), norm1, norm1, { heads, residual }));
    const norm2 = layerNormLayer(p.child('norm2'), h1);
    const h2 = addedTo(p, h1, (residual) => attentionBlock(p.child('attn2'), norm2, context, { heads, residual }));
    const norm3 = layerNormLayer(p.child('norm3'), h2);
    return addedTo(p, h2, (residual) => feedForward(p.child('ff'), norm3, residual));
  });
}
