import type { Meaning, Tensor64 } from '../interpreter.js';

interface Sizes {
  n: number;
  tq: number;
  tk: number;
  c: number;
  heads: number;
  d: number;
  scale: number;
  causal: boolean;
}

function sizesOf(q: Tensor64, k: Tensor64, attrs: Readonly<Record<string, number>>): Sizes {
  const [n, tq, c] = q.shape as [number, number, number];
  const heads = attrs.heads!;
  return {
    n,
    tq,
    tk: k.shape[1]!,
    c,
    heads,
    d: c / heads,
    scale: 1 / Math.sqrt(c / heads),
    causal: attrs.causal === 1,
  };
}

/** Row i of head h of sample b starts here, in a tensor [n, t, c]. */
const rowAt = (s: Sizes, t: number, b: number, h: number, i: number): number => (b * t + i) * s.c + h * s.d;

function dot(a: Float64Array, at: number, b: Float64Array, bt: number, count: number): number {
  let sum = 0;
  for (let e = 0; e < count; e++) sum += a[at + e]! * b[bt + e]!;
  return sum;
}

/** Calls body once for each sample, head and query, with the probabilities over the keys and the row's log-sum-exp. */
function eachQuery(
  s: Sizes,
  q: Tensor64,
  k: Tensor64,
  body: (b: number, h: number, i: number, p: Float64Array, lse: number) => void,
): void {
  for (let b = 0; b < s.n; b++) {
    for (let h = 0; h < s.heads; h++) {
      for (let i = 0; i < s.tq; i++) {
        const seen = s.causal ? i + 1 : s.tk;
        const at = rowAt(s, s.tq, b, h, i);
        const scores = Float64Array.from({ length: seen }, (_, j) => {
          return s.scale * dot(q.data, at, k.data, rowAt(s, s.tk, b, h, j), s.d);
        });
        const top = scores.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY);
        const lse = top + Math.log(scores.reduce((sum, v) => sum + Math.exp(v - top), 0));
        body(
          b,
          h,
          i,
          scores.map((v) => Math.exp(v - lse)),
          lse,
        );
      }
    }
  }
}

const attention: Meaning = ([q, k, v], attrs) => {
  const s = sizesOf(q!, k!, attrs);
  const o = new Float64Array(q!.data.length);
  const lse = new Float64Array(s.n * s.heads * s.tq);
  eachQuery(s, q!, k!, (b, h, i, p, rowLse) => {
    lse[(b * s.heads + h) * s.tq + i] = rowLse;
    const at = rowAt(s, s.tq, b, h, i);
    p.forEach((pj, j) => {
      const from = rowAt(s, s.tk, b, h, j);
      for (let e = 0; e < s.d; e++) o[at + e]! += pj * v!.data[from + e]!;
    });
  });
  return [o, lse];
};

/** From q, k, v and do alone: the softmax's Jacobian, without o and lse. */
const attentionVjp: Meaning = ([q, k, v, , , dO], attrs, outputs) => {
  const s = sizesOf(q!, k!, attrs);
  const dq = new Float64Array(q!.data.length);
  const dk = new Float64Array(k!.data.length);
  const dv = new Float64Array(v!.data.length);
  eachQuery(s, q!, k!, (b, h, i, p) => {
    const at = rowAt(s, s.tq, b, h, i);
    const dp = p.map((_, j) => dot(dO!.data, at, v!.data, rowAt(s, s.tk, b, h, j), s.d));
    const mean = dot(p, 0, dp, 0, p.length);
    p.forEach((pj, j) => {
      const from = rowAt(s, s.tk, b, h, j);
      const ds = s.scale * pj * (dp[j]! - mean);
      for (let e = 0; e < s.d; e++) {
        dq[at + e]! += ds * k!.data[from + e]!;
        dk[from + e]! += ds * q!.data[at + e]!;
        dv[from + e]! += pj * dO!.data[at + e]!;
      }
    });
  });
  return [dq, dk, dv].map((gradient, i) => (outputs[i] ? gradient : null));
};

export const meanings: Record<string, Meaning> = { attention, attentionVjp };
