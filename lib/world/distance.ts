import type { Part } from './part.js';

/**
 * The pixels x0 ≤ x < x1, y0 ≤ y < y1 and, at each centre, an affine map to the part's coordinates:
 * (px, py) ↦ (lx, ly) = (x + px·xx + py·xy, y + px·yx + py·yy), counted from pixel (x0, y0).
 */
export interface Region {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  x: number;
  y: number;
  xx: number;
  xy: number;
  yx: number;
  yy: number;
}

type Fill = (part: Part, region: Region, out: Float32Array, at: number) => void;

/** k(k − 1)/|∇|: the first-order distance of x²/a² + y²/b² = 1, exact on circles. */
function fillEllipse(part: Part, region: Region, out: Float32Array, at: number): void {
  const [ia, ib] = [1 / part.a, 1 / part.b];
  const inside = -Math.min(part.a, part.b);
  let o = at;
  for (let py = 0; py < region.y1 - region.y0; py++) {
    let lx = (region.x + py * region.xy) * ia;
    let ly = (region.y + py * region.yy) * ib;
    for (let px = region.x0; px < region.x1; px++, lx += region.xx * ia, ly += region.yx * ib) {
      const k0 = Math.sqrt(lx * lx + ly * ly);
      const gx = lx * ia;
      const gy = ly * ib;
      const k1 = Math.sqrt(gx * gx + gy * gy);
      out[o++] = k1 < 1e-6 ? inside : (k0 * (k0 - 1)) / k1;
    }
  }
}

function fillBox(part: Part, region: Region, out: Float32Array, at: number): void {
  let o = at;
  for (let py = 0; py < region.y1 - region.y0; py++) {
    let lx = region.x + py * region.xy;
    let ly = region.y + py * region.yy;
    for (let px = region.x0; px < region.x1; px++, lx += region.xx, ly += region.yx) {
      const qx = Math.abs(lx) - part.a;
      const qy = Math.abs(ly) - part.b;
      const ox = Math.max(qx, 0);
      const oy = Math.max(qy, 0);
      const deepest = Math.max(qx, qy);
      out[o++] = Math.sqrt(ox * ox + oy * oy) + Math.min(deepest, 0) - part.round;
    }
  }
}

/** Distance to a segment less a radius that changes along it. */
function fillCapsule(part: Part, region: Region, out: Float32Array, at: number): void {
  const half = part.a;
  const mean = (part.b + part.c) / 2;
  const slope = half > 0 ? (part.c - part.b) / (2 * half) : 0;
  let o = at;
  for (let py = 0; py < region.y1 - region.y0; py++) {
    let lx = region.x + py * region.xy;
    let ly = region.y + py * region.yy;
    for (let px = region.x0; px < region.x1; px++, lx += region.xx, ly += region.yx) {
      const along = lx < -half ? -half : Math.min(lx, half);
      const dx = lx - along;
      out[o++] = Math.sqrt(dx * dx + ly * ly) - mean - slope * along;
    }
  }
}

function fillArc(part: Part, region: Region, out: Float32Array, at: number): void {
  const [sin, cos] = [Math.sin(part.b), Math.cos(part.b)];
  let o = at;
  for (let py = 0; py < region.y1 - region.y0; py++) {
    let lx = region.x + py * region.xy;
    let ly = region.y + py * region.yy;
    for (let px = region.x0; px < region.x1; px++, lx += region.xx, ly += region.yx) {
      const ax = Math.abs(lx);
      const ay = -ly;
      const ex = ax - sin * part.a;
      const ey = ay - cos * part.a;
      const beyond = cos * ax > sin * ay;
      const d = beyond ? Math.sqrt(ex * ex + ey * ey) : Math.abs(Math.sqrt(ax * ax + ay * ay) - part.a);
      out[o++] = d - part.c;
    }
  }
}

/** Distance to the nearest edge, negative inside by the crossing rule. */
function fillPolygon(part: Part, region: Region, out: Float32Array, at: number): void {
  const { points } = part;
  const n = points.length;
  let o = at;
  for (let py = 0; py < region.y1 - region.y0; py++) {
    let lx = region.x + py * region.xy;
    let ly = region.y + py * region.yy;
    for (let px = region.x0; px < region.x1; px++, lx += region.xx, ly += region.yx) {
      let nearest = 1e9;
      let inside = false;
      let ax = points[n - 2]!;
      let ay = points[n - 1]!;
      for (let i = 0; i < n; i += 2) {
        const bx = points[i]!;
        const by = points[i + 1]!;
        const ex = bx - ax;
        const ey = by - ay;
        const wx = lx - ax;
        const wy = ly - ay;
        let t = (wx * ex + wy * ey) / (ex * ex + ey * ey);
        t = t < 0 ? 0 : Math.min(t, 1);
        const dx = wx - ex * t;
        const dy = wy - ey * t;
        const square = dx * dx + dy * dy;
        if (square < nearest) nearest = square;
        if (ay > ly !== by > ly && wx * ey < ex * wy === ey > 0) inside = !inside;
        ax = bx;
        ay = by;
      }
      out[o++] = (inside ? -Math.sqrt(nearest) : Math.sqrt(nearest)) - part.round;
    }
  }
}

const fills: Readonly<Record<Part['kind'], Fill>> = {
  ellipse: fillEllipse,
  box: fillBox,
  capsule: fillCapsule,
  arc: fillArc,
  polygon: fillPolygon,
};

/** Signed distances of the part, in the part's units, at all pixels of the region, row by row from `out[at]`. */
export function signedDistances(part: Part, region: Region, out: Float32Array, at: number): void {
  fills[part.kind](part, region, out, at);
  const width = region.x1 - region.x0;
  const count = width * (region.y1 - region.y0);
  if (part.hollow > 0) for (let o = at; o < at + count; o++) out[o] = Math.abs(out[o]!) - part.hollow;
  if (part.cut === Number.POSITIVE_INFINITY) return;
  for (let i = 0; i < count; i++) {
    const py = Math.floor(i / width);
    const beyond = region.y + (i - py * width) * region.yx + py * region.yy - part.cut;
    if (beyond > out[at + i]!) out[at + i] = beyond;
  }
}
