import type { Meaning, Tensor64 } from '../interpreter.js';
import { meanings as of } from './attention.js';

/** The halves of the channels. */
function halves({ shape: [n, t, channels], data }: Tensor64): Tensor64[] {
  const c = channels! / 2;
  const shape = [n!, t!, c];
  return [0, 1].map((part) => ({
    shape,
    data: Float64Array.from({ length: n! * t! * c }, (_, i) => data[Math.floor(i / c) * 2 * c + part * c + (i % c)]!),
  }));
}

const crossAttention: Meaning = ([q, kv], attrs, outputs) => of.attention!([q!, ...halves(kv!)], attrs, outputs);

const crossAttentionVjp: Meaning = ([q, kv, o, lse, dO], attrs, [dq, dkv]) => {
  const value = (dq ?? dkv)!;
  const [first, ...parts] = of.attentionVjp!([q!, ...halves(kv!), o!, lse!, dO!], attrs, [value, value, value]);
  const c = q!.shape[2]!;
  const joined = kv!.data.map((_, i) => parts[Math.floor(i / c) % 2]![Math.floor(i / (2 * c)) * c + (i % c)]!);
  return [dq ? first! : null, dkv ? joined : null];
};

export const meanings: Record<string, Meaning> = { crossAttention, crossAttentionVjp };
