import type { Meaning, Tensor64 } from '../interpreter.js';
import { meanings as of } from './attention.js';

/** The thirds of the channels. */
function thirds({ shape: [n, t, channels], data }: Tensor64): Tensor64[] {
  const c = channels! / 3;
  const shape = [n!, t!, c];
  return [0, 1, 2].map((part) => ({
    shape,
    data: Float64Array.from({ length: n! * t! * c }, (_, i) => data[Math.floor(i / c) * 3 * c + part * c + (i % c)]!),
  }));
}

const selfAttention: Meaning = ([qkv], attrs, outputs) => of.attention!(thirds(qkv!), attrs, outputs);

const selfAttentionVjp: Meaning = ([qkv, o, lse, dO], attrs, [dqkv]) => {
  const parts = of.attentionVjp!([...thirds(qkv!), o!, lse!, dO!], attrs, [dqkv!, dqkv!, dqkv!]);
  const c = qkv!.shape[2]! / 3;
  return [qkv!.data.map((_, i) => parts[Math.floor(i / c) % 3]![Math.floor(i / (3 * c)) * c + (i % c)]!)];
};

export const meanings: Record<string, Meaning> = { selfAttention, selfAttentionVjp };
