// How many directions the change of an adapted weight really uses.
import type { AdapterFile } from '../adapters/adapterFile.js';
import { type ValueKind, valueName } from '../adapters/adapterLayout.js';
import type { AdaptedLayer } from '../adapters/adapterSpec.js';
import { symmetricEigenvalues } from './symmetricEigenvalues.js';

/** A matrix in row-major order. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** Measures of how evenly singular values are spread; each is 1 for a single direction and k for k equal ones. */
export interface EffectiveRank {
  /** exp of the entropy of s / Σs. */
  readonly entropy: number;
  /** (Σs²)² / Σs⁴. */
  readonly participation: number;
  /** Fewest values that hold 95 % of Σs. */
  readonly share95: number;
}

/** [k, k] of all products of rows of a [k, n]. */
function gram({ rows: k, columns: n, values }: Matrix): Float64Array {
  const out = new Float64Array(k * k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let at = 0; at < n; at++) sum += values[i * n + at]! * values[j * n + at]!;
      out[i * k + j] = sum;
      out[j * k + i] = sum;
    }
  }
  return out;
}

/** Lower triangular C with CCᵀ = A for a positive semidefinite A; directions that vanish give columns of zeros. */
function semidefiniteRoot(a: Float64Array, k: number): Float64Array {
  const c = new Float64Array(k * k);
  const top = Math.max(...Array.from({ length: k }, (_, i) => a[i * k + i]!));
  for (let j = 0; j < k; j++) {
    for (let i = j; i < k; i++) {
      let sum = a[i * k + j]!;
      for (let at = 0; at < j; at++) sum -= c[i * k + at]! * c[j * k + at]!;
      if (i === j) c[i * k + j] = sum > 4 * Number.EPSILON * top ? Math.sqrt(sum) : 0;
      else c[i * k + j] = c[j * k + j] === 0 ? 0 : sum / c[j * k + j]!;
    }
  }
  return c;
}

/**
 * Singular values, in descending order, of UᵀD for U [k, m] and D [k, n]: those of CᵀE for the roots C, E of the two Gram matrices, whose
 * squares are the eigenvalues of Cᵀ(DDᵀ)C. Values below about 10⁻⁸ of the largest are lost in rounding.
 */
export function productSingularValues(u: Matrix, d: Matrix): Float64Array {
  const k = u.rows;
  const c = semidefiniteRoot(gram(u), k);
  const g = gram(d);
  const inner = new Float64Array(k * k);
  const half = new Float64Array(k * k);
  for (let i = 0; i < k; i++)
    for (let at = 0; at < k; at++) for (let j = 0; j < k; j++) half[i * k + j]! += g[i * k + at]! * c[at * k + j]!;
  for (let at = 0; at < k; at++)
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) inner[i * k + j]! += c[at * k + i]! * half[at * k + j]!;
  return symmetricEigenvalues(inner, k).map((value) => Math.sqrt(Math.max(0, value)));
}

/** The measures for singular values in descending order; all 0 for a change of nothing. */
export function effectiveRank(singular: Float64Array): EffectiveRank {
  const sum = singular.reduce((a, s) => a + s, 0);
  if (sum === 0) return { entropy: 0, participation: 0, share95: 0 };
  const squares = singular.reduce((a, s) => a + s * s, 0);
  const fourths = singular.reduce((a, s) => a + s ** 4, 0);
  const entropy = singular.reduce((a, s) => (s === 0 ? a : a - (s / sum) * Math.log(s / sum)), 0);
  let [share95, held] = [0, 0];
  while (held < 0.95 * sum && share95 < singular.length) held += singular[share95++]!;
  return { entropy: Math.exp(entropy), participation: squares ** 2 / fourths, share95 };
}

/** Rows of both, those of `a` first. */
function stacked(a: Float64Array, b: Float64Array, columns: number): Matrix {
  const values = new Float64Array(a.length + b.length);
  values.set(a);
  values.set(b, a.length);
  return { rows: values.length / columns, columns, values };
}

function transposed(values: Float32Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j]!;
  return out;
}

/** Each row of a [r, n] times its entry of lambda [r]. */
function scaled(
  lambda: (row: number) => number,
  values: (at: number) => number,
  n: number,
  total: number,
): Float64Array {
  return Float64Array.from({ length: total }, (_, at) => lambda(Math.floor(at / n)) * values(at));
}

/**
 * Singular values of the whole change of one layer, ΔW = up·down, or with an orthogonal start
 * (P − P₀)·ΛQ + P₀·(ΛQ − Λ₀Q₀), which loses nothing to cancellation.
 */
export function changeSingularValues(file: AdapterFile, layer: AdaptedLayer): Float64Array {
  const { path, in: width, out, rank } = layer;
  const change = (kind: ValueKind): Float32Array => file.change(valueName(path, kind));
  const up = transposed(change('lora_up'), out, rank);
  const down = change('lora_down');
  if (!file.orthogonal) {
    return productSingularValues(
      { rows: rank, columns: out, values: up },
      { rows: rank, columns: width, values: Float64Array.from(down) },
    );
  }
  const start = (kind: ValueKind): Float32Array => file.start(valueName(path, kind));
  const [p0, q0, l0] = [transposed(start('lora_up'), out, rank), start('lora_down'), start('lora_lambda')];
  const lambda = change('lora_lambda');
  const now = scaled(
    (r) => l0[r]! + lambda[r]!,
    (at) => q0[at]! + down[at]!,
    width,
    down.length,
  );
  const difference = now.map((value, at) => value - l0[Math.floor(at / width)]! * q0[at]!);
  return productSingularValues(stacked(up, p0, out), stacked(now, difference, width));
}

/** Whether the change of a file's layers can be known from the file alone. */
export function holdsChange(file: AdapterFile): boolean {
  return !file.orthogonal || (file.differences && file.drawn === null);
}

/** What the layers of a UNet do: self- or cross-attention, and which projection. */
export function layerGroup(path: string): string {
  const part = /\.attn([12])\.to_(q|k|v|out)/.exec(path);
  return part ? `${part[1] === '1' ? 'self' : 'cross'} ${part[2]}` : 'other';
}

/** Means over the layers of each group, in the groups' order: self q, k, v, out, cross q, k, v, out. */
export function effectiveRanks(file: AdapterFile): Map<string, EffectiveRank & { readonly layers: number }> {
  const order = ['self q', 'self k', 'self v', 'self out', 'cross q', 'cross k', 'cross v', 'cross out', 'other'];
  const all = file.layers.map((layer) => ({
    group: layerGroup(layer.path),
    rank: effectiveRank(changeSingularValues(file, layer)),
  }));
  return new Map(
    order.flatMap((group) => {
      const own = all.filter((one) => one.group === group).map(({ rank }) => rank);
      if (own.length === 0) return [];
      const mean = (of: keyof EffectiveRank): number => own.reduce((sum, rank) => sum + rank[of], 0) / own.length;
      const ranks = { entropy: mean('entropy'), participation: mean('participation'), share95: mean('share95') };
      return [[group, { ...ranks, layers: own.length }]];
    }),
  );
}
