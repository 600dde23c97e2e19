// Singular triples of a product of two thin matrices, without the product: QR of both, then the SVD of the small core, in float64.
import { type PlainFactors, setComponent } from './plainFactors.js';

/** Columns of a matrix. */
type Columns = Float64Array[];

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

const addTo = (a: Float64Array, factor: number, b: Float64Array): void => {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
};

/**
 * Gram–Schmidt, again for columns that lose most of their length: a = q·r with orthonormal columns in q, or zeros where a column depends
 * on those before it.
 * @returns q, and the columns of r
 */
function qr(a: Columns): { q: Columns; r: Columns } {
  const q: Columns = [];
  const r = a.map((column, j) => {
    const rest = column.slice();
    const own = new Float64Array(a.length);
    const length = Math.sqrt(dot(column, column));
    let last = length;
    for (let pass = 0; pass < 3; pass++) {
      for (const [i, unit] of q.entries()) {
        const along = dot(unit, rest);
        own[i]! += along;
        addTo(rest, -along, unit);
      }
      const now = Math.sqrt(dot(rest, rest));
      const done = now > 0.5 * last;
      last = now;
      if (done) break;
    }
    const dependent = last <= 1e-14 * length;
    own[j] = dependent ? 0 : last;
    q.push(rest.map((v) => (dependent ? 0 : v / last)));
    return own;
  });
  return { q, r };
}

const SWEEPS = 40;

/**
 * One-sided Jacobi (Hestenes 1958): rotates columns of m until they are orthogonal. Squares of their lengths are kept, and computed again
 * for each sweep.
 * @returns m·v and the columns of v
 */
function jacobi(m: Columns): { mv: Columns; v: Columns } {
  const n = m.length;
  const v = m.map((_, j) => Float64Array.from({ length: n }, (_value, i) => (i === j ? 1 : 0)));
  for (let sweep = 0, rotated = true; rotated && sweep < SWEEPS; sweep++) {
    rotated = false;
    const squares = Float64Array.from(m, (column) => dot(column, column));
    const negligible = 1e-28 * squares.reduce((a, b) => a + b, 0);
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const c = dot(m[i]!, m[j]!);
        const a = squares[i]!;
        const b = squares[j]!;
        if (Math.abs(c) <= Math.max(1e-11 * Math.sqrt(Math.max(0, a * b)), negligible)) continue;
        const t = tangent((b - a) / (2 * c));
        rotate(m[i]!, m[j]!, t);
        rotate(v[i]!, v[j]!, t);
        squares[i] = a - t * c;
        squares[j] = b + t * c;
        rotated = true;
      }
    }
  }
  return { mv: m, v };
}

/** Of the smaller angle whose rotation makes two columns orthogonal. */
function tangent(zeta: number): number {
  return (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
}

function rotate(x: Float64Array, y: Float64Array, t: number): void {
  const cos = 1 / Math.sqrt(1 + t * t);
  for (let k = 0; k < x.length; k++) {
    const first = x[k]!;
    x[k] = cos * (first - t * y[k]!);
    y[k] = cos * (t * first + y[k]!);
  }
}

/** columns · x */
function times(columns: Columns, x: Float64Array): Float64Array {
  const y = new Float64Array(columns[0]!.length);
  for (const [i, column] of columns.entries()) addTo(y, x[i]!, column);
  return y;
}

/** A shorter product, and the squares of the singular values that it has and lacks. */
export interface Truncated {
  readonly factors: PlainFactors;
  readonly kept: number;
  readonly lost: number;
}

/** ‖up · down‖², without the product. */
export function squaredSize(product: PlainFactors): number {
  const [left, right] = [leftColumns(product), rightColumns(product)];
  let sum = 0;
  for (const [i, a] of left.entries()) {
    for (const [j, b] of left.entries()) sum += dot(a, b) * dot(right[i]!, right[j]!);
  }
  return Math.max(0, sum);
}

function leftColumns({ rank: k, up }: PlainFactors): Columns {
  return Array.from({ length: k }, (_, j) => Float64Array.from({ length: up.length / k }, (_v, o) => up[o * k + j]!));
}

function rightColumns({ rank: k, down }: PlainFactors): Columns {
  const width = down.length / k;
  return Array.from({ length: k }, (_, j) => Float64Array.from(down.subarray(j * width, (j + 1) * width)));
}

/** The best product of `rank` components for up · down, largest first; with fewer components than that, all of them. */
export function truncated(whole: PlainFactors, rank: number): Truncated {
  const { rank: k, up, down } = whole;
  const [out, width] = [up.length / k, down.length / k];
  const [left, right] = [qr(leftColumns(whole)), qr(rightColumns(whole))];
  // Column j of the core Ru·Rdᵀ is Ru times row j of Rd.
  const core = right.r.map((_, j) =>
    times(
      left.r,
      Float64Array.from(right.r, (column) => column[j]!),
    ),
  );
  const { mv, v } = jacobi(core);
  const sizes = mv.map((column, j) => ({ j, square: dot(column, column) })).sort((a, b) => b.square - a.square);
  const count = Math.min(rank, k);
  const factors = { rank: count, up: new Float32Array(out * count), down: new Float32Array(count * width) };
  for (const [at, { j }] of sizes.slice(0, count).entries()) {
    const [u, w] = [times(left.q, mv[j]!), times(right.q, v[j]!)];
    setComponent(
      factors,
      at,
      (o) => u[o]!,
      (i) => w[i]!,
    );
  }
  const sum = (part: typeof sizes): number => part.reduce((total, { square }) => total + square, 0);
  return { factors, kept: sum(sizes.slice(0, count)), lost: sum(sizes.slice(count)) };
}
