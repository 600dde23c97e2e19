import type { Meaning } from '../interpreter.js';

/**
 * The frame Q of columns given as arrays, by Gram–Schmidt done twice, which makes R's diagonal positive. A column that depends on
 * those before it has no direction of its own: it becomes NaN, as no value of it is meant.
 */
export function frameOf(columns: readonly Float64Array[]): Float64Array[] {
  const frame: Float64Array[] = [];
  for (const column of columns) {
    const q = Float64Array.from(column);
    const size = norm(q);
    for (let pass = 0; pass < 2; pass++) {
      for (const other of frame) {
        const along = dot(q, other);
        for (let i = 0; i < q.length; i++) q[i]! -= along * other[i]!;
      }
    }
    const left = norm(q);
    frame.push(left > 1e-12 * size ? q.map((v) => v / left) : q.fill(Number.NaN));
  }
  return frame;
}

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

export function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

/** Columns of a row-major matrix [rows, columns]. */
export function columnsOf(data: ArrayLike<number>, rows: number, columns: number): Float64Array[] {
  return Array.from({ length: columns }, (_, j) =>
    Float64Array.from({ length: rows }, (_, i) => data[i * columns + j]!),
  );
}

/** Row-major [length, count], or with `transposed` [count, length], from its columns. */
export function fromColumns(columns: readonly Float64Array[], transposed: boolean): Float64Array {
  const [count, length] = [columns.length, columns[0]!.length];
  return Float64Array.from({ length: count * length }, (_, i) =>
    transposed ? columns[Math.floor(i / length)]![i % length]! : columns[i % count]![Math.floor(i / count)]!,
  );
}

const qrFrame: Meaning = ([g], { transposed }) => {
  const [m, r] = g!.shape.slice(-2) as [number, number];
  const out = new Float64Array(g!.data.length);
  for (let at = 0; at < out.length; at += m * r) {
    const frame = frameOf(columnsOf(g!.data.subarray(at, at + m * r), m, r));
    out.set(fromColumns(frame, transposed !== 0), at);
  }
  return [out];
};

export const meanings: Record<string, Meaning> = { qrFrame };
