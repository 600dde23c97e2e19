import type { Meaning } from '../interpreter.js';
import { jacobi } from './gaussianSingularValues.js';
import { columnsOf, dot, fromColumns, norm } from './qrFrame.js';

/** Singular triples of a tall matrix given by its columns; the vectors of zero values complete the left frame. */
function triples(columns: Float64Array[]): { left: Float64Array[]; sigma: number[]; right: Float64Array[] } {
  const right = columns.map((_, j) => Float64Array.from({ length: columns.length }, (_, i) => Number(i === j)));
  const rotated = jacobi(columns, right);
  const sigma = rotated.map(norm);
  const left: Float64Array[] = [];
  rotated.forEach((column, j) => {
    left.push(sigma[j]! > 1e-13 * sigma[0]! ? column.map((v) => v / sigma[j]!) : another(left, column.length));
  });
  return { left, sigma, right };
}

/** A unit vector orthogonal to those given. */
function another(frame: readonly Float64Array[], length: number): Float64Array {
  for (let start = 0; ; start++) {
    const q = Float64Array.from({ length }, (_, i) => Number(i === start));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of frame) {
        const along = dot(q, other);
        for (let i = 0; i < length; i++) q[i]! -= along * other[i]!;
      }
    }
    const size = norm(q);
    if (size > 0.1 / Math.sqrt(length)) return q.map((v) => v / size);
  }
}

const svdComponents: Meaning = ([w], { first }, [, sigmaOut]) => {
  const [out, width] = w!.shape as [number, number];
  const rank = sigmaOut!.shape[0]!;
  const columns = columnsOf(w!.data, out, width);
  const rows = columnsOf(fromColumns(columns, true), width, out);
  const { left, sigma, right } = triples(out >= width ? columns : rows);
  const [ups, downs] = out >= width ? [left, right] : [right, left];
  for (let j = 0; j < sigma.length; j++) {
    const largest = downs[j]!.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
    if (largest >= 0) continue;
    ups[j] = ups[j]!.map((v) => -v);
    downs[j] = downs[j]!.map((v) => -v);
  }
  const chosen = <T>(all: T[]): T[] => all.slice(first!, first! + rank);
  return [fromColumns(chosen(ups), false), Float64Array.from(chosen(sigma)), fromColumns(chosen(downs), true)];
};

export const meanings: Record<string, Meaning> = { svdComponents };
