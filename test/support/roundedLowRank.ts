// The low-rank branch as a plain implementation in half precision computes it: in difference form, with the stacked factors and the
// products of rank r rounded to the compute type. Everything else is float64.
import type { DType } from '../../lib/graph/graph.js';
import { roundTo } from './halfFloat.js';
import type { Meaning, Tensor64 } from './interpreter.js';

type Optional = Tensor64 | null | undefined;

/** One component of the stack: a row of the down factor [in] and a column of the up factor [out]. */
interface Component {
  down: Float64Array;
  up: Float64Array;
}

/** The components of index j: P−P0 with ΛQ and P0 with ΛQ−Λ0Q0, or P with ΛQ; and P itself with ΛQ. */
interface Pair {
  stack: Component[];
  whole: Component;
}

function pairsOf(factors: readonly Optional[], round: (data: Float64Array) => Float64Array): Pair[] {
  const [up, down, lambda, up0, down0, lambda0] = factors;
  const [out, r] = up!.shape as [number, number];
  const width = down!.shape[1]!;
  const column = (m: Tensor64, j: number): Float64Array =>
    Float64Array.from({ length: out }, (_, o) => m.data[o * r + j]!);
  const row = (m: Tensor64, by: Optional, j: number): Float64Array =>
    m.data.subarray(j * width, (j + 1) * width).map((q) => q * (by ? by.data[j]! : 1));
  return Array.from({ length: r }, (_, j) => {
    const q = row(down!, lambda, j);
    const p = column(up!, j);
    const whole = { down: round(q), up: round(p) };
    if (!up0) return { stack: [whole], whole };
    const p0 = column(up0, j);
    const q0 = row(down0!, lambda0, j);
    const first = { down: whole.down, up: round(p.map((v, o) => v - p0[o]!)) };
    return { stack: [first, { down: round(q.map((v, k) => v - q0[k]!)), up: round(p0) }], whole };
  });
}

function dot(a: Float64Array, at: number, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < b.length; k++) sum += a[at + k]! * b[k]!;
  return sum;
}

function addTo(to: Float64Array, at: number, step: number, factor: number, values: Float64Array): void {
  for (let k = 0; k < values.length; k++) to[at + k * step]! += factor * values[k]!;
}

export function roundedLowRank(compute: DType): Record<string, Meaning> {
  const round = (data: Float64Array): Float64Array => roundTo(data, compute);
  const one = (value: number): number => round(Float64Array.of(value))[0]!;
  const eachRow = (
    x: Tensor64,
    ranks: Tensor64,
    pairs: Pair[],
    body: (row: number, pair: Pair, j: number) => void,
  ): void => {
    const [n, t] = x.shape as [number, number];
    for (let row = 0; row < n * t; row++) {
      pairs.slice(0, Math.max(0, ranks.data[Math.floor(row / t)]!)).forEach((pair, j) => {
        body(row, pair, j);
      });
    }
  };
  const lowRank: Meaning = ([base, x, ...rest], attrs) => {
    const y = base!.data.slice();
    const [width, out] = [x!.shape[2]!, base!.shape[2]!];
    eachRow(x!, rest[6]!, pairsOf(rest, round), (row, { stack }) => {
      for (const { down, up } of stack) addTo(y, row * out, 1, attrs.scale! * one(dot(x!.data, row * width, down)), up);
    });
    return [y];
  };
  const lowRankVjp: Meaning = ([x, ...rest], attrs, outputs) => {
    const [up, down, lambda] = rest;
    const dy = rest[7]!.data;
    const [out, r] = up!.shape as [number, number];
    const width = x!.shape[2]!;
    const dx = new Float64Array(x!.data.length);
    const dUp = new Float64Array(out * r);
    const g = new Float64Array(r * width);
    eachRow(x!, rest[6]!, pairsOf(rest, round), (row, { stack, whole }, j) => {
      const rowOfX = x!.data.subarray(row * width, (row + 1) * width);
      const rowOfDy = dy.subarray(row * out, (row + 1) * out);
      for (const part of stack) addTo(dx, row * width, 1, one(attrs.scale! * dot(dy, row * out, part.up)), part.down);
      addTo(g, j * width, 1, one(attrs.scale! * dot(dy, row * out, whole.up)), rowOfX);
      addTo(dUp, j, r, attrs.scale! * one(dot(x!.data, row * width, whole.down)), rowOfDy);
    });
    const dLambda = Float64Array.from({ length: r }, (_, j) =>
      dot(down!.data, j * width, g.subarray(j * width, (j + 1) * width)),
    );
    const dDown = g.map((value, i) => value * (lambda ? lambda.data[Math.floor(i / width)]! : 1));
    return [dx, dUp, dDown, dLambda].map((gradient, i) => (outputs[i] ? gradient : null));
  };
  return { lowRank, lowRankVjp };
}
