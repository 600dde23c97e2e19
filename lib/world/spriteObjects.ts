import { type Draw, pick } from '../random/hash.js';
import type { Shape } from './attributes.js';
import {
  arc,
  box,
  capsule,
  type Design,
  ellipse,
  type Part,
  type Pattern,
  pair,
  polygon,
  starCorners,
} from './part.js';

const plain = { line: false } as const;
const between = (draw: Draw, low: number, high: number): number => low + (high - low) * draw();

/** Half widths of a turned body at five heights from top to bottom. */
const profiles: readonly (readonly number[])[] = [
  [0.2, 0.22, 0.56, 0.62, 0.34],
  [0.5, 0.3, 0.24, 0.46, 0.6],
  [0.34, 0.6, 0.56, 0.34, 0.24],
  [0.58, 0.5, 0.42, 0.36, 0.34],
  [0.3, 0.56, 0.3, 0.56, 0.36],
  [0.52, 0.56, 0.56, 0.56, 0.5],
];
const nearestOf: readonly Shape[] = ['apple', 'mushroom', 'heart', 'mug', 'cactus', 'house'];

interface Body {
  readonly parts: readonly Part[];
  readonly widths: readonly number[];
  readonly top: number;
  readonly bottom: number;
}

function turned(draw: Draw, pattern: Pattern, profile: number): Body {
  const widths = profiles[profile]!.map((w) => w * between(draw, 0.9, 1.1));
  const [top, bottom] = [-0.46, 0.66];
  const right = widths.flatMap((w, i) => [w, top + ((bottom - top) * i) / 4]);
  const left = widths.flatMap((w, i) => [-w, top + ((bottom - top) * i) / 4]);
  const mirrored = Array.from({ length: 5 }, (_, i) => left.slice(8 - 2 * i, 10 - 2 * i)).flat();
  return {
    parts: [polygon([...right, ...mirrored], 'main', { pattern, round: 0.07, group: 1 })],
    widths,
    top: top - 0.07,
    bottom: bottom + 0.07,
  };
}

function lid(draw: Draw, { top, widths }: Body): Part[] {
  const w = widths[0]! + 0.08;
  switch (pick(draw, ['dome', 'flat', 'flame', 'spout', 'crown', 'dish'] as const)) {
    case 'dome':
      return [ellipse(0, top + 0.06, w, 0.3, 'third', { cut: 0 }), ellipse(0, top - 0.28, 0.1, 0.1, 'second')];
    case 'flat':
      return [
        box(0, top, w + 0.06, 0.09, 'third', { round: 0.05 }),
        box(0, top - 0.16, 0.09, 0.1, 'second', { round: 0.04 }),
      ];
    case 'flame':
      return [
        capsule([0, top - 0.32, 0.02], [0, top - 0.06, 0.15], 'warm'),
        capsule([0, top - 0.18, 0.015], [0, top - 0.06, 0.07], 'gold', plain),
        box(0, top + 0.05, w, 0.07, 'third', { round: 0.04 }),
      ];
    case 'spout':
      return [
        capsule([0, top + 0.05, 0.12], [0.28, top - 0.26, 0.09], 'third'),
        box(0, top + 0.03, w, 0.08, 'second', { round: 0.05 }),
      ];
    case 'crown':
      return [-0.66, 0, 0.66].map((x) =>
        polygon([x * w - 0.13, top + 0.06, x * w, top - 0.3, x * w + 0.13, top + 0.06], 'third', { round: 0.03 }),
      );
    case 'dish':
      return [
        capsule([0, top, 0.05], [0, top - 0.2, 0.05], 'steel'),
        ellipse(0, top - 0.36, 0.34, 0.24, 'third', { angle: Math.PI, cut: 0 }),
        ellipse(0, top - 0.3, 0.08, 0.08, 'second'),
      ];
  }
}

function base(draw: Draw, { bottom, widths }: Body): Part[] {
  const w = widths[4]!;
  switch (pick(draw, ['plinth', 'legs', 'wheels', 'balls', 'none'] as const)) {
    case 'plinth':
      return [box(0, bottom + 0.06, w + 0.16, 0.1, 'third', { round: 0.04 })];
    case 'legs':
      return pair(capsule([w * 0.6, bottom - 0.1, 0.09], [w + 0.08, bottom + 0.18, 0.06], 'third'));
    case 'wheels':
      return [
        ...pair(ellipse(0.32, bottom + 0.06, 0.19, 0.19, 'ink')),
        ...pair(ellipse(0.32, bottom + 0.06, 0.08, 0.08, 'third', plain)),
      ];
    case 'balls':
      return [-0.3, 0, 0.3].map((x) => ellipse(x, bottom + 0.06, 0.12, 0.12, 'third'));
    case 'none':
      return [];
  }
}

function sides(draw: Draw, { widths }: Body): Part[] {
  const x = (widths[1]! + widths[2]!) / 2;
  switch (pick(draw, ['handles', 'pegs', 'vanes', 'loop', 'none'] as const)) {
    case 'handles':
      return pair(arc(x + 0.02, -0.04, 0.22, 1.9, 0.07, 'second', { angle: Math.PI / 2 }));
    case 'pegs':
      return [-0.1, 0.22].flatMap((y) => pair(capsule([x - 0.1, y, 0.08], [x + 0.22, y, 0.08], 'third')));
    case 'vanes':
      return pair(polygon([x - 0.12, -0.2, x + 0.32, 0.16, x + 0.3, 0.46, x - 0.12, 0.3], 'second', { round: 0.04 }));
    case 'loop':
      return [ellipse(0, -0.3, x + 0.24, 0.56, 'second', { hollow: 0.06 })];
    case 'none':
      return [];
  }
}

function front(draw: Draw, { widths }: Body): Part[] {
  const [y, r] = [0.14, Math.min(0.24, Math.max(0.16, widths[2]! * 0.5))];
  switch (pick(draw, ['dial', 'star', 'gem', 'band', 'window', 'buttons'] as const)) {
    case 'dial':
      return [
        ellipse(0, y, r, r, 'white'),
        capsule([0, y, 0.03], [0, y - r * 0.7, 0.03], 'ink', plain),
        capsule([0, y, 0.03], [r * 0.5, y + r * 0.2, 0.03], 'ink', plain),
      ];
    case 'star':
      return [polygon(starCorners(0, y, 5, r * 1.2, r * 0.55), 'third', { round: 0.02 })];
    case 'gem':
      return [polygon([0, y - r * 1.1, r, y, 0, y + r * 1.1, -r, y], 'third', { round: 0.02 })];
    case 'band':
      return [box(0, y, widths[2]! + 0.1, 0.1, 'third', { round: 0.05 })];
    case 'window':
      return [ellipse(0, y, r, r * 0.9, 'third'), ellipse(0, y, r * 0.6, r * 0.52, 'glass', plain)];
    case 'buttons':
      return [-0.2, 0.05, 0.3].map((dy) => ellipse(0, y - 0.05 + dy, 0.08, 0.08, 'third'));
  }
}

/** A strange vessel or machine: a turned, patterned body with lid, base, handles and a front, mirrored left and right. */
export function objectPlan(draw: Draw, pattern: Pattern): { design: Design; nearest: Shape } {
  const profile = Math.floor(draw() * profiles.length);
  const body = turned(draw, pattern, profile);
  const parts = [...sides(draw, body), ...lid(draw, body), ...base(draw, body), ...body.parts, ...front(draw, body)];
  const design: Design = {
    parts,
    top: [0, body.top - 0.06, Math.max(0.3, body.widths[0]! * 0.8)],
    neck: [0, -0.12, body.widths[2]! + 0.02],
    bow: [body.widths[1]! * 0.7, body.top + 0.12, 0.28],
  };
  return { design, nearest: nearestOf[profile]! };
}
