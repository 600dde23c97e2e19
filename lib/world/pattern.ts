import { type Draw, pick } from '../random/hash.js';
import type { Pattern, PatternKind } from './part.js';

const fraction = (x: number): number => x - Math.floor(x);
const cover = (distance: number): number => (distance > 0.5 ? 0 : distance < -0.5 ? 1 : 0.5 - distance);

/** A soft function in [−1, 1] without visible period: three sine waves. */
function blotches(x: number, y: number): number {
  return (
    (Math.sin(x * 2.1 + 1.3 * Math.sin(y * 1.7)) + Math.sin(y * 2.6 + x * 1.1 + 0.7) + Math.sin(1.9 * (x - y))) / 3
  );
}

/** Distance to a band of relative width `share` around whole numbers, negative inside. */
function band(x: number, share: number): number {
  return Math.abs(fraction(x) - 0.5) - share / 2;
}

/** Offset in steps of half a period, every other row, so that spots sit like honeycomb. */
function spots(x: number, y: number, radius: number): number {
  const row = Math.floor(y);
  const dx = fraction(x + (row % 2 === 0 ? 0 : 0.5)) - 0.5;
  const dy = fraction(y) - 0.5;
  return Math.sqrt(dx * dx + dy * dy) - radius;
}

/**
 * How much of the pattern's paint lies at (u, v) of the sprite, in [0, 1].
 * @param scale pixels per unit, which sets how soft the edges are
 */
export function patternCover(pattern: Pattern, u: number, v: number, scale: number): number {
  const { frequency, share, phase } = pattern;
  const x = (u * pattern.cos + v * pattern.sin) * frequency + phase;
  const y = (v * pattern.cos - u * pattern.sin) * frequency + phase;
  const pixels = scale / frequency;
  switch (pattern.kind) {
    case 'stripes':
      return cover(band(x, share) * pixels);
    case 'zigzag':
      return cover(band(x + Math.abs(fraction(y) - 0.5), share) * pixels * 0.7);
    case 'rings':
      return cover(band(Math.sqrt(u * u + v * v) * frequency + phase, share) * pixels);
    case 'spots':
      return cover(spots(x, y, 0.2 + share * 0.3) * pixels);
    case 'checks':
      return cover(-Math.sin(Math.PI * x) * Math.sin(Math.PI * y) * pixels * 0.32);
    case 'patches':
      return cover((blotches(x * 2, y * 2) - (share - 0.5)) * pixels * 0.5);
  }
}

/** A pattern of one of the kinds, in the paint `second`. */
export function randomPattern(draw: Draw, kinds: readonly PatternKind[]): Pattern {
  const kind = pick(draw, kinds);
  const angle = pick(draw, [0, Math.PI / 4, Math.PI / 2, -Math.PI / 4]) + (draw() - 0.5) * 0.3;
  return {
    kind,
    paint: 'second',
    frequency: kind === 'patches' ? 1.5 + draw() : 2.2 + 1.4 * draw(),
    cos: Math.cos(angle),
    sin: Math.sin(angle),
    share: 0.35 + 0.25 * draw(),
    phase: draw(),
  };
}
