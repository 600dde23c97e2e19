import { blend, type Canvas, clouds, grain, PIXELS, SIDE } from './canvas.js';
import { type Region, signedDistances } from './distance.js';
import type { Look } from './palette.js';
import { type Part, paints } from './part.js';
import { patternCover } from './pattern.js';

/** Where a sprite stands: (u, v) lands on pixel (x, y) + scale·R(turn)·(flip·u, v). */
export interface Pose {
  readonly x: number;
  readonly y: number;
  /** Pixels per unit. */
  readonly scale: number;
  /** Clockwise, radians. */
  readonly turn: number;
  readonly flip: 1 | -1;
  /** Moves pencil strokes and shakes. */
  readonly shift: number;
}

interface Placed {
  part: Part;
  region: Region;
  /** Where its distances start. */
  at: number;
}

/** Edge width of the plain style, pixels. */
function edgeWidth(scale: number): number {
  return Math.min(1.25, Math.max(0.75, 0.068 * scale));
}

function place(part: Part, pose: Pose, margin: number): Region {
  const { scale, flip } = pose;
  const [cos, sin] = [Math.cos(pose.turn), Math.sin(pose.turn)];
  const [pc, ps] = [Math.cos(part.angle), Math.sin(part.angle)];
  // local → pixel; its inverse is the transpose over scale², as both turns and the flip are orthogonal
  const xx = scale * (cos * flip * pc - sin * ps);
  const xy = scale * (-cos * flip * ps - sin * pc);
  const yx = scale * (sin * flip * pc + cos * ps);
  const yy = scale * (-sin * flip * ps + cos * pc);
  const cx = pose.x + scale * (cos * flip * part.x - sin * part.y);
  const cy = pose.y + scale * (sin * flip * part.x + cos * part.y);
  const reachX = Math.abs(xx) * part.halfWidth + Math.abs(xy) * part.halfHeight + margin;
  const reachY = Math.abs(yx) * part.halfWidth + Math.abs(yy) * part.halfHeight + margin;
  const x0 = Math.min(SIDE, Math.max(0, Math.floor(cx - reachX)));
  const y0 = Math.min(SIDE, Math.max(0, Math.floor(cy - reachY)));
  const over = 1 / (scale * scale);
  const [px, py] = [x0 + 0.5 - cx, y0 + 0.5 - cy];
  return {
    x0,
    y0,
    x1: Math.max(x0, Math.min(SIDE, Math.ceil(cx + reachX))),
    y1: Math.max(y0, Math.min(SIDE, Math.ceil(cy + reachY))),
    x: (px * xx + py * yx) * over,
    y: (px * xy + py * yy) * over,
    xx: xx * over,
    xy: yx * over,
    yx: xy * over,
    yy: yy * over,
  };
}

let distances = new Float32Array(32 * PIXELS);

function shake(region: Region, at: number, width: number, amount: number, shift: number): void {
  let o = at;
  for (let y = region.y0; y < region.y1; y++) {
    for (let x = region.x0; x < region.x0 + width; x++) {
      const noise = clouds[((y * 2 + shift) % SIDE) * SIDE + ((x * 2 + shift * 3) % SIDE)]! - 0.5;
      distances[o] = distances[o]! + noise * amount;
      o++;
    }
  }
}

function layOut(parts: readonly Part[], pose: Pose, look: Look, edge: number): Placed[] {
  const placed: Placed[] = [];
  let at = 0;
  for (const part of parts) {
    const region = place(part, pose, edge + 1 + look.wobble);
    const width = region.x1 - region.x0;
    const count = width * (region.y1 - region.y0);
    if (count === 0) continue;
    if (at + count > distances.length) {
      const longer = new Float32Array(2 * distances.length + count);
      longer.set(distances);
      distances = longer;
    }
    signedDistances(part, region, distances, at);
    for (let o = at; o < at + count; o++) distances[o] = distances[o]! * pose.scale;
    if (look.wobble > 0) shake(region, at, width, look.wobble, pose.shift);
    placed.push({ part, region, at });
    at += count;
  }
  return placed;
}

function stroke(canvas: Canvas, { part, region, at }: Placed, look: Look, edge: number): void {
  const c = paints[part.paint] * 3;
  const [r, g, b] = [look.lines[c]!, look.lines[c + 1]!, look.lines[c + 2]!];
  let o = at;
  for (let y = region.y0; y < region.y1; y++) {
    for (let pixel = y * SIDE + region.x0; pixel < y * SIDE + region.x1; pixel++) {
      const d = distances[o++]! - edge;
      if (d >= 0.5) continue;
      const cover = d <= -0.5 ? 1 : 0.5 - d;
      blend(canvas.rgb, pixel, r, g, b, cover);
      canvas.alpha[pixel] = canvas.alpha[pixel]! + (1 - canvas.alpha[pixel]!) * cover;
    }
  }
}

/** Slanted pencil strokes in [0, 1]: a triangle wave across the picture, roughened by noise. */
function pencil(x: number, y: number, shift: number): number {
  const noise = grain[((y + shift) % SIDE) * SIDE + ((x + shift) % SIDE)]!;
  const wave = (x + y + 2.5 * clouds[y * SIDE + x]! + shift) * 0.29;
  const triangle = Math.abs(wave - Math.floor(wave) - 0.5) * 2;
  return triangle * 0.75 + noise * 0.25;
}

function fill(canvas: Canvas, { part, region, at }: Placed, look: Look, pose: Pose): void {
  const c = paints[part.paint] * 3;
  const { pattern } = part;
  const p = pattern === undefined ? c : paints[pattern.paint] * 3;
  const [pc, ps] = [Math.cos(part.angle), Math.sin(part.angle)];
  const reach = Math.abs(ps) * part.halfWidth + Math.abs(pc) * part.halfHeight;
  let o = at;
  for (let y = region.y0; y < region.y1; y++) {
    let lx = region.x + (y - region.y0) * region.xy;
    let ly = region.y + (y - region.y0) * region.yy;
    for (let x = region.x0; x < region.x1; x++, lx += region.xx, ly += region.yx) {
      const d = distances[o++]!;
      if (d >= 0.5) continue;
      const pixel = y * SIDE + x;
      const cover = d <= -0.5 ? 1 : 0.5 - d;
      const v = lx * ps + ly * pc;
      let r = look.fills[c]!;
      let g = look.fills[c + 1]!;
      let b = look.fills[c + 2]!;
      if (pattern !== undefined) {
        const share = patternCover(pattern, part.x + lx * pc - ly * ps, part.y + v, pose.scale);
        r += (look.fills[p]! - r) * share;
        g += (look.fills[p + 1]! - g) * share;
        b += (look.fills[p + 2]! - b) * share;
      }
      const light = 1 - look.shade * (part.group > 0 ? part.y + v : v / reach);
      r *= light;
      g *= light;
      b *= light;
      if (look.hatch > 0) {
        const bare = look.hatch * pencil(x, y, pose.shift);
        r += (0.97 - r) * bare;
        g += (0.95 - g) * bare;
        b += (0.9 - b) * bare;
      }
      blend(canvas.rgb, pixel, Math.min(r, 1), Math.min(g, 1), Math.min(b, 1), cover);
      canvas.alpha[pixel] = canvas.alpha[pixel]! + (1 - canvas.alpha[pixel]!) * cover;
    }
  }
}

/** Paints parts from back to front; in a run of parts of one group the edges come first. */
export function paintParts(canvas: Canvas, parts: readonly Part[], pose: Pose, look: Look): void {
  const edge = edgeWidth(pose.scale) * look.lineScale;
  const placed = layOut(parts, pose, look, edge);
  for (let from = 0; from < placed.length; ) {
    const { group } = placed[from]!.part;
    let to = from + 1;
    if (group > 0) while (to < placed.length && placed[to]!.part.group === group) to++;
    for (let i = from; i < to; i++) if (placed[i]!.part.line) stroke(canvas, placed[i]!, look, edge);
    for (let i = from; i < to; i++) fill(canvas, placed[i]!, look, pose);
    from = to;
  }
}
