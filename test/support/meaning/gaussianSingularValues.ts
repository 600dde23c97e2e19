import type { Meaning } from '../interpreter.js';
import { blockOf, normalPair } from './randomNormal.js';

/** chi_k by Marsaglia and Tsang (2000): attempt a of entry j takes its words from block (a, j). */
function chi(key: ArrayLike<number>, entry: number, k: number): number {
  const d = k / 2 - 1 / 3;
  for (let attempt = 0; ; attempt++) {
    const [a, b, test] = blockOf(key, attempt, entry);
    const [x] = normalPair(a, b);
    if (k === 1) return Math.abs(x);
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log((test + 0.5) / 2 ** 32) < (x * x) / 2 + d - d * v + d * Math.log(v)) {
      return Math.sqrt(2 * d * v);
    }
  }
}

/** All singular values, descending, of the upper bidiagonal matrix: eigenvalues of its Gram matrix, by cyclic Jacobi. */
function bidiagonalSingularValues(diagonal: number[], above: number[]): number[] {
  const n = diagonal.length;
  const columns = diagonal.map((d, j) => {
    const column = new Float64Array(n);
    column[j] = d;
    if (j > 0) column[j - 1] = above[j - 1]!;
    return column;
  });
  return jacobi(columns).map((column) => Math.hypot(...column));
}

/** One-sided Jacobi: rotates columns until they are orthogonal; largest first. `mirror` gets the same rotations. */
export function jacobi(
  columns: Float64Array[],
  mirror: Float64Array[] = columns.map(() => new Float64Array(0)),
): Float64Array[] {
  for (let sweep = 0, most = 1; sweep < 60 && most > 1e-15; sweep++) {
    most = 0;
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) most = Math.max(most, rotate(columns, mirror, p, q));
    }
  }
  const order = columns.map((column, i) => [Math.hypot(...column), i] as const).sort((a, b) => b[0] - a[0]);
  const [copy, other] = [[...columns], [...mirror]];
  order.forEach(([, from], to) => {
    columns[to] = copy[from]!;
    mirror[to] = other[from]!;
  });
  return columns;
}

/** Makes columns p and q orthogonal; gives the cosine they had. */
function rotate(columns: Float64Array[], mirror: Float64Array[], p: number, q: number): number {
  const [x, y] = [columns[p]!, columns[q]!];
  const along = x.reduce((sum, v, i) => sum + v * y[i]!, 0);
  const [xx, yy] = [x.reduce((s, v) => s + v * v, 0), y.reduce((s, v) => s + v * v, 0)];
  const cosine = Math.abs(along) / Math.sqrt(xx * yy);
  if (!(cosine > 1e-16)) return 0;
  const zeta = (yy - xx) / (2 * along);
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t);
  for (const [a, b] of [
    [x, y],
    [mirror[p]!, mirror[q]!],
  ] as const) {
    for (let i = 0; i < a.length; i++) {
      const [u, v] = [a[i]!, b[i]!];
      a[i] = c * (u - t * v);
      b[i] = c * (t * u + v);
    }
  }
  return cosine;
}

const gaussianSingularValues: Meaning = ([key], attrs, [sigma]) => {
  const { rows, cols, first, std } = attrs as Record<'rows' | 'cols' | 'first' | 'std', number>;
  const [m, n] = [Math.max(rows, cols), Math.min(rows, cols)];
  const rank = sigma!.shape.at(-1)!;
  const draws: number[] = [];
  for (let at = 0; at < key!.data.length; at += 4) {
    const words = key!.data.subarray(at, at + 4);
    const diagonal = Array.from({ length: n }, (_, i) => chi(words, i, m - i));
    const above = Array.from({ length: n - 1 }, (_, i) => chi(words, n + i, n - 1 - i));
    draws.push(...bidiagonalSingularValues(diagonal, above).slice(first, first + rank));
  }
  return [Float64Array.from(draws, (value) => value * std)];
};

export const meanings: Record<string, Meaning> = { gaussianSingularValues };
