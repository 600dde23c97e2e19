// Attention as a plain implementation in half precision computes it without storing scores: probabilities and the gradients of scores are
// rounded to the compute type where they are multiplied, and the gradient starts from the rounded o. Everything else is float64.
import type { DType } from '../../lib/graph/graph.js';
import { roundTo } from './halfFloat.js';
import type { Meaning, Tensor64 } from './interpreter.js';

interface Pair {
  /** Where the rows of query and key begin, in their tensors; both have d elements. */
  query: number;
  key: number;
  p: number;
  /** Number of the query's row, over all samples, heads and queries. */
  row: number;
}

function dot(a: Tensor64, at: number, b: Tensor64, bt: number, d: number): number {
  let sum = 0;
  for (let e = 0; e < d; e++) sum += a.data[at + e]! * b.data[bt + e]!;
  return sum;
}

/** Calls body for all keys that each query sees, with their exact probabilities. */
function eachPair(
  q: Tensor64,
  k: Tensor64,
  attrs: Readonly<Record<string, number>>,
  d: number,
  body: (pair: Pair) => void,
): void {
  const [n, tq, c] = q.shape as [number, number, number];
  const [tk, heads] = [k.shape[1]!, attrs.heads!];
  for (let row = 0; row < n * heads * tq; row++) {
    const [sample, head, i] = [Math.floor(row / (heads * tq)), Math.floor(row / tq) % heads, row % tq];
    const query = (sample * tq + i) * c + head * d;
    const keyAt = (j: number): number => (sample * tk + j) * c + head * d;
    const scores = Array.from(
      { length: attrs.causal ? i + 1 : tk },
      (_, j) => dot(q, query, k, keyAt(j), d) / Math.sqrt(d),
    );
    const top = Math.max(...scores);
    const sum = scores.reduce((total, s) => total + Math.exp(s - top), 0);
    scores.forEach((s, j) => {
      body({ query, key: keyAt(j), p: Math.exp(s - top) / sum, row });
    });
  }
}

export function roundedAttention(compute: DType): Record<string, Meaning> {
  const round = (value: number): number => roundTo(Float64Array.of(value), compute)[0]!;
  const add = (to: Float64Array, at: number, factor: number, from: Tensor64, ft: number, d: number): void => {
    for (let e = 0; e < d; e++) to[at + e]! += factor * from.data[ft + e]!;
  };
  const attention: Meaning = ([q, k, v], attrs) => {
    const d = q!.shape[2]! / attrs.heads!;
    const o = new Float64Array(q!.data.length);
    const lse = new Float64Array((o.length / q!.shape[2]!) * attrs.heads!);
    eachPair(q!, k!, attrs, d, ({ query, key, p, row }) => {
      add(o, query, round(p), v!, key, d);
      if (p > 0) lse[row] = dot(q!, query, k!, key, d) / Math.sqrt(d) - Math.log(p);
    });
    return [o, lse];
  };
  const attentionVjp: Meaning = ([q, k, v, o, , dO], attrs, outputs) => {
    const d = q!.shape[2]! / attrs.heads!;
    const [dq, dk, dv] = [q!, k!, v!].map(({ data }) => new Float64Array(data.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    eachPair(q!, k!, attrs, d, ({ query, key, p }) => {
      const change = dot(dO!, query, v!, key, d) - dot(dO!, query, o!, query, d);
      const ds = round((p * change) / Math.sqrt(d));
      add(dq, query, ds, k!, key, d);
      add(dk, key, ds, q!, query, d);
      add(dv, key, round(p), dO!, query, d);
    });
    return [dq, dk, dv].map((gradient, i) => (outputs[i] ? gradient : null));
  };
  return { attention, attentionVjp };
}
