import type { Meaning } from '../interpreter.js';
import { dot } from './qrFrame.js';
import { normalsOf } from './randomNormal.js';

/** The vector of the reflector that LAPACK makes of a Gaussian vector x of length m − k, with zeros before it. */
function reflector(key: ArrayLike<number>, k: number, m: number): Float64Array {
  const v = Float64Array.from({ length: m }, (_, i) =>
    i < k ? 0 : normalsOf(key, Math.floor((i - k) / 4), k + 1)[(i - k) % 4]!,
  );
  v[k]! += (v[k]! > 0 ? 1 : -1) * Math.sqrt(dot(v, v));
  return v;
}

/** Lower L with L·Lᵀ = I − C·Cᵀ, for rows C. */
function factor(c: readonly Float64Array[]): number[][] {
  const l = c.map((row, a) => c.map((other, b) => (a === b ? 1 : 0) - dot(row, other)));
  for (let a = 0; a < c.length; a++) {
    for (let b = 0; b <= a; b++) {
      for (let k = 0; k < b; k++) l[a]![b]! -= l[a]![k]! * l[b]![k]!;
      l[a]![b] = a === b ? Math.sqrt(Math.max(0, l[a]![a]!)) : l[a]![b]! / l[b]![b]!;
    }
  }
  return l;
}

function frame(key: ArrayLike<number>, z: Float64Array, [n, m, r]: [number, number, number], first: number): number[] {
  const rows = Array.from({ length: r }, (_, j) => Float64Array.from({ length: m }, (_, i) => Number(i === first + j)));
  for (let k = 0; k < n; k++) {
    const v = reflector(key, k, m);
    for (const row of rows) {
      const along = (2 * dot(row, v)) / dot(v, v);
      for (let i = k; i < m; i++) row[i]! -= along * v[i]!;
    }
  }
  const l = factor(rows.map((row) => row.subarray(n)));
  return rows.flatMap((row, a) => [
    ...Array.from({ length: n }, (_, i) => l[a]!.slice(0, a + 1).reduce((sum, v, b) => sum + v * z[i * r + b]!, 0)),
    ...row.subarray(n),
  ]);
}

const complementFrame: Meaning = ([key, z], { first }, [out]) => {
  const [count, n, r] = z!.shape as [number, number, number];
  const sizes: [number, number, number] = [n, out!.shape[2]!, r];
  const all = Array.from({ length: count }, (_, i) =>
    frame(key!.data.subarray(4 * i, 4 * i + 4), z!.data.subarray(i * n * r, (i + 1) * n * r), sizes, first!),
  );
  return [Float64Array.from(all.flat())];
};

export const meanings: Record<string, Meaning> = { complementFrame };
