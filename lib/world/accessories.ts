import type { Accessory } from './attributes.js';
import { blend, type Canvas, type Rgb, SIDE } from './canvas.js';
import { boundsOf, box, type Design, ellipse, type Part, type Pattern, polygon } from './part.js';

const plain = { line: false } as const;
const dots: Pattern = { kind: 'spots', paint: 'white', frequency: 4.6, cos: 1, sin: 0, share: 0.1, phase: 0.3 };
const band: Pattern = { kind: 'stripes', paint: 'white', frequency: 3.4, cos: 0.94, sin: 0.34, share: 0.42, phase: 0 };

function hat([x, y, half]: Design['top']): Part[] {
  const w = Math.max(0.3, half * 0.84);
  return [
    box(x, y - 0.24, w, 0.3, 'ink', { round: 0.04 }),
    box(x, y - 0.08, w, 0.075, 'rose', plain),
    box(x, y + 0.03, w * 1.6, 0.075, 'ink', { round: 0.06 }),
  ];
}

function bow([x, y, half]: Design['bow']): Part[] {
  const r = Math.max(0.34, half * 1.2);
  return [
    polygon([x, y, x - r, y - r * 0.68, x - r, y + r * 0.68], 'rose', { round: 0.06, pattern: dots }),
    polygon([x, y, x + r, y - r * 0.68, x + r, y + r * 0.68], 'rose', { round: 0.06, pattern: dots }),
    ellipse(x, y, r * 0.32, r * 0.34, 'rose'),
  ];
}

function halo({ top: [x, y, half], parts }: Design): Part[] {
  const crest = boundsOf(parts.filter((part) => Math.abs(part.x - x) < 0.6)).top;
  return [ellipse(x, Math.min(y, crest) - 0.22, Math.max(0.4, half * 1.25), 0.15, 'gold', { hollow: 0.065 })];
}

function scarf([x, y, half]: Design['neck']): Part[] {
  const tail = Math.max(0.12, Math.min(0.3, half * 0.5));
  return [
    box(x + tail, y + 0.28, 0.13, 0.27, 'rose', {
      angle: -0.16,
      round: 0.03,
      pattern: { ...band, cos: 0.1, sin: 0.99 },
    }),
    box(x, y, half + 0.08, 0.125, 'rose', { round: 0.11, pattern: band }),
  ];
}

/** What a sprite wears, in its own coordinates, painted after it. A frame is worn by the picture, not by the sprite. */
export function wornParts(accessory: Accessory, design: Design): Part[] {
  switch (accessory) {
    case 'hat':
      return hat(design.top);
    case 'bow':
      return bow(design.bow);
    case 'halo':
      return halo(design);
    case 'scarf':
      return scarf(design.neck);
    default:
      return [];
  }
}

/** Width of the frame's wood, pixels. */
const FRAME_WIDTH = 5;

/** A gilded picture frame around the whole picture; it covers the subject too. */
export function paintFrame(canvas: Canvas, wood: Rgb): void {
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const depth = Math.min(x, y, SIDE - 1 - x, SIDE - 1 - y);
      if (depth >= FRAME_WIDTH + 1) continue;
      const lit = depth === x || depth === y ? 1.06 : 0.86;
      const rim = depth === 0 ? 0.72 : depth === 2 ? 1.12 : depth >= FRAME_WIDTH - 1 ? 0.6 : 1;
      const pixel = y * SIDE + x;
      const cover = depth === FRAME_WIDTH ? 0.28 : 1;
      const light = depth === FRAME_WIDTH ? 0.2 : lit * rim;
      blend(
        canvas.rgb,
        pixel,
        Math.min(1, wood[0] * light),
        Math.min(1, wood[1] * light),
        Math.min(1, wood[2] * light),
        cover,
      );
      canvas.alpha[pixel] = canvas.alpha[pixel]! * (1 - cover);
    }
  }
}
