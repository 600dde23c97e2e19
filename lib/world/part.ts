import type { Draw } from '../random/hash.js';

/** Paints of a palette; the palette of a style says what colour each one is. */
export const paints = {
  main: 0,
  dark: 1,
  pale: 2,
  ink: 3,
  white: 4,
  warm: 5,
  leaf: 6,
  steel: 7,
  glass: 8,
  wood: 9,
  rose: 10,
  gold: 11,
  second: 12,
  third: 13,
} as const;
export type Paint = keyof typeof paints;

export type PatternKind = 'stripes' | 'spots' | 'patches' | 'checks' | 'rings' | 'zigzag';

/** A second paint laid over a part, in sprite coordinates, so that it runs on from part to part. */
export interface Pattern {
  readonly kind: PatternKind;
  readonly paint: Paint;
  /** Repeats per unit. */
  readonly frequency: number;
  readonly cos: number;
  readonly sin: number;
  /** Share of the area that is covered, about. */
  readonly share: number;
  readonly phase: number;
}

export type PartKind = 'ellipse' | 'box' | 'capsule' | 'arc' | 'polygon';

/**
 * A piece of a sprite, in its own coordinates: centre (x, y) in the sprite's unit square [−1, 1]², y down, turned by
 * `angle` clockwise. Its signed distance is negative inside.
 */
export interface Part {
  readonly kind: PartKind;
  readonly x: number;
  readonly y: number;
  readonly angle: number;
  /** ellipse: radius along x · box: half width · capsule: half length · arc: radius · polygon: unused */
  readonly a: number;
  /** ellipse: radius along y · box: half height · capsule: radius at −x · arc: half aperture around −y, radians */
  readonly b: number;
  /** capsule: radius at +x · arc: half thickness */
  readonly c: number;
  /** Corners x0, y0, x1, y1, … around the centre. */
  readonly points: Float64Array;
  /** Half extents of the bounding box, in the part's coordinates. */
  readonly halfWidth: number;
  readonly halfHeight: number;
  readonly round: number;
  /** Only the side local y < cut is kept. */
  readonly cut: number;
  /** Half thickness of the wall if only the rim is drawn, else 0. */
  readonly hollow: number;
  readonly paint: Paint;
  /** Draws an edge around it. Neighbours with the same group share one edge. */
  readonly line: boolean;
  readonly group: number;
  readonly pattern: Pattern | undefined;
}

export interface PartOptions {
  angle?: number;
  round?: number;
  cut?: number;
  hollow?: number;
  line?: boolean;
  group?: number;
  pattern?: Pattern | undefined;
}

/** Where accessories sit: [x, y, half width]. */
export type Anchor = readonly [number, number, number];

/** A sprite: parts from back to front, inside [−1, 1]², and where it wears things. */
export interface Design {
  readonly parts: readonly Part[];
  readonly top: Anchor;
  readonly neck: Anchor;
  readonly bow: Anchor;
}

/** Builds a shape class; `draw` gives its seeded variation. */
export type Builder = (draw: Draw) => Design;

const noPoints = new Float64Array(0);

function part(kind: PartKind, x: number, y: number, paint: Paint, options: PartOptions, own: Partial<Part>): Part {
  const { angle = 0, round = 0, cut = Number.POSITIVE_INFINITY, hollow = 0, line = true, group = 0, pattern } = options;
  const shape = { a: 0, b: 0, c: 0, points: noPoints, halfWidth: 0, halfHeight: 0, ...own };
  const margin = round + hollow;
  return {
    kind,
    x,
    y,
    angle,
    ...shape,
    halfWidth: shape.halfWidth + margin,
    halfHeight: shape.halfHeight + margin,
    round,
    cut,
    hollow,
    paint,
    line,
    group,
    pattern,
  };
}

export function ellipse(x: number, y: number, rx: number, ry: number, paint: Paint, options: PartOptions = {}): Part {
  return part('ellipse', x, y, paint, options, { a: rx, b: ry, halfWidth: rx, halfHeight: ry });
}

/** Half width w and half height h include the rounding. */
export function box(x: number, y: number, w: number, h: number, paint: Paint, options: PartOptions = {}): Part {
  const round = options.round ?? 0;
  return part('box', x, y, paint, options, { a: w - round, b: h - round, halfWidth: w - round, halfHeight: h - round });
}

/** From (x0, y0) with radius r0 to (x1, y1) with radius r1. */
export function capsule(
  [x0, y0, r0]: readonly [number, number, number],
  [x1, y1, r1]: readonly [number, number, number],
  paint: Paint,
  options: PartOptions = {},
): Part {
  const half = Math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) / 2;
  const reach = Math.max(r0, r1);
  const angle = Math.atan2(y1 - y0, x1 - x0);
  return part(
    'capsule',
    (x0 + x1) / 2,
    (y0 + y1) / 2,
    paint,
    { ...options, angle },
    {
      a: half,
      b: r0,
      c: r1,
      halfWidth: half + reach,
      halfHeight: reach,
    },
  );
}

/** A piece of a ring around the direction up, turned by `angle`: `aperture` is half its angle, `thick` half its width. */
export function arc(
  x: number,
  y: number,
  radius: number,
  aperture: number,
  thick: number,
  paint: Paint,
  options: PartOptions = {},
): Part {
  const reach = radius + thick;
  return part('arc', x, y, paint, options, { a: radius, b: aperture, c: thick, halfWidth: reach, halfHeight: reach });
}

/** Corners in sprite coordinates: x0, y0, x1, y1, … */
export function polygon(corners: readonly number[], paint: Paint, options: PartOptions = {}): Part {
  const xs = corners.filter((_, i) => i % 2 === 0);
  const ys = corners.filter((_, i) => i % 2 === 1);
  const [left, right, high, low] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const [x, y] = [(left + right) / 2, (high + low) / 2];
  const _round = options.round ?? 0;
  return part(
    'polygon',
    x,
    y,
    paint,
    { ...options, angle: 0 },
    {
      points: Float64Array.from(corners, (value, i) => value - (i % 2 === 0 ? x : y)),
      halfWidth: (right - left) / 2,
      halfHeight: (low - high) / 2,
    },
  );
}

/** The part and its mirror image at −x. */
export function pair(one: Part): Part[] {
  const points = one.points.map((value, i) => (i % 2 === 0 ? -value : value));
  return [
    one,
    one.kind === 'capsule'
      ? { ...one, x: -one.x, angle: Math.PI - one.angle }
      : { ...one, x: -one.x, angle: -one.angle, points },
  ];
}

/** The box around parts: left, top, right, bottom. */
export interface Bounds {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The box that holds the origin and the parts, flipped and then turned; a little too large for turned parts. */
export function boundsOf(parts: readonly Part[], turn = 0, flip: 1 | -1 = 1): Bounds {
  const bounds = { left: 0, top: 0, right: 0, bottom: 0 };
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const include = (u: number, v: number, margin: number): void => {
    const x = cos * flip * u - sin * v;
    const y = sin * flip * u + cos * v;
    if (x - margin < bounds.left) bounds.left = x - margin;
    if (x + margin > bounds.right) bounds.right = x + margin;
    if (y - margin < bounds.top) bounds.top = y - margin;
    if (y + margin > bounds.bottom) bounds.bottom = y + margin;
  };
  for (const part of parts) {
    if (part.kind === 'arc') includeArc(part, include);
    else includeBox(part, include);
  }
  return bounds;
}

type Include = (u: number, v: number, margin: number) => void;

function includeArc({ x, y, angle, a, b, c }: Part, include: Include): void {
  for (let k = -1; k <= 1; k += 0.5) include(x + a * Math.sin(angle + k * b), y - a * Math.cos(angle + k * b), c);
}

/** The corners of its box, less what its cut takes away. */
function includeBox({ x, y, angle, halfWidth, halfHeight, cut }: Part, include: Include): void {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const low = Math.min(halfHeight, cut);
  for (let corner = 0; corner < 4; corner++) {
    const lx = corner % 2 === 0 ? -halfWidth : halfWidth;
    const ly = corner < 2 ? -halfHeight : low;
    include(x + lx * cos - ly * sin, y + lx * sin + ly * cos, 0);
  }
}

/** A star-shaped outline with n points between two radii: corners for `polygon`. */
export function starCorners(x: number, y: number, n: number, outer: number, inner: number, turn = 0): number[] {
  return Array.from({ length: 2 * n }, (_, i) => {
    const angle = turn + (Math.PI * i) / n;
    const radius = i % 2 === 0 ? outer : inner;
    return [x + radius * Math.sin(angle), y - radius * Math.cos(angle)];
  }).flat();
}
