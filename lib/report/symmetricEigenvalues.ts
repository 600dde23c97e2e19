// Eigenvalues of small symmetric matrices, without vectors.

/** A symmetric tridiagonal matrix: its diagonal, and what stands beside it (`beside[i]` between i and i + 1). */
interface Tridiagonal {
  readonly diagonal: Float64Array;
  readonly beside: Float64Array;
}

/**
 * Householder's reduction: reflections H = I − βvvᵀ with v below the diagonal of column k, A ← HAH.
 * @param a [n, n], symmetric; overwritten
 */
function tridiagonal(a: Float64Array, n: number): Tridiagonal {
  const [diagonal, beside] = [new Float64Array(n), new Float64Array(n)];
  const [v, w] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < n - 1; k++) {
    let norm = 0;
    for (let i = k + 1; i < n; i++) norm += a[i * n + k]! ** 2;
    norm = Math.sqrt(norm);
    const first = a[(k + 1) * n + k]!;
    const target = first > 0 ? -norm : norm;
    diagonal[k] = a[k * n + k]!;
    beside[k] = target;
    const beta = norm === 0 ? 0 : 1 / (norm * (norm + Math.abs(first)));
    if (beta === 0) continue;
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k]! - (i === k + 1 ? target : 0);
    reflect(a, n, k + 1, { v, w, beta });
  }
  diagonal[n - 1] = a[n * n - 1]!;
  return { diagonal, beside };
}

/** A ← HAH on the rows and columns from `from`: with p = βAv and w = p − (β/2)(pᵀv)v, A − vwᵀ − wvᵀ. */
function reflect(
  a: Float64Array,
  n: number,
  from: number,
  { v, w, beta }: { v: Float64Array; w: Float64Array; beta: number },
): void {
  let dot = 0;
  for (let i = from; i < n; i++) {
    let sum = 0;
    for (let j = from; j < n; j++) sum += a[i * n + j]! * v[j]!;
    w[i] = beta * sum;
    dot += w[i]! * v[i]!;
  }
  for (let i = from; i < n; i++) w[i] = w[i]! - 0.5 * beta * dot * v[i]!;
  for (let i = from; i < n; i++) {
    for (let j = from; j < n; j++) a[i * n + j] = a[i * n + j]! - v[i]! * w[j]! - w[i]! * v[j]!;
  }
}

/** Sweeps for one eigenvalue; three are usual. */
const MOST_SWEEPS = 60;

/** One implicit QL sweep of rows `low` … `high` with Wilkinson's shift, by plane rotations. */
function sweep({ diagonal: d, beside: e }: Tridiagonal, low: number, high: number): void {
  let g = (d[low + 1]! - d[low]!) / (2 * e[low]!);
  const r0 = Math.hypot(g, 1);
  g = d[high]! - d[low]! + e[low]! / (g + (g >= 0 ? r0 : -r0));
  let [sine, cosine, shift] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    if (i + 1 < high) e[i + 1] = r;
    if (r === 0) {
      d[i + 1] = d[i + 1]! - shift;
      return;
    }
    [sine, cosine] = [f / r, g / r];
    g = d[i + 1]! - shift;
    const turn = (d[i]! - g) * sine + 2 * cosine * b;
    shift = sine * turn;
    d[i + 1] = g + shift;
    g = cosine * turn - b;
  }
  d[low] = d[low]! - shift;
  e[low] = g;
}

/**
 * Eigenvalues in descending order, each to about 10⁻¹⁵ of the largest.
 * @param matrix [n, n], symmetric
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const reduced = tridiagonal(Float64Array.from(matrix), n);
  const { diagonal: d, beside: e } = reduced;
  for (let low = 0; low < n - 1; low++) {
    for (let sweeps = 0; sweeps < MOST_SWEEPS; sweeps++) {
      let high = low;
      while (high < n - 1 && Math.abs(e[high]!) > Number.EPSILON * (Math.abs(d[high]!) + Math.abs(d[high + 1]!)))
        high++;
      if (high === low) break;
      sweep(reduced, low, high);
    }
  }
  return d.sort().reverse();
}
