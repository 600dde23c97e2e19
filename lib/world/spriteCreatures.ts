import { type Draw, pick } from '../random/hash.js';
import type { Shape } from './attributes.js';
import {
  arc,
  box,
  capsule,
  type Design,
  ellipse,
  type Paint,
  type Part,
  type Pattern,
  pair,
  polygon,
  starCorners,
} from './part.js';

const plain = { line: false } as const;
const between = (draw: Draw, low: number, high: number): number => low + (high - low) * draw();

/** The trunk of a creature: its parts, and half its width, top and bottom. */
interface Body {
  readonly parts: readonly Part[];
  readonly half: number;
  readonly top: number;
  readonly bottom: number;
}

type Plan = 'egg' | 'pear' | 'block' | 'drop' | 'gem' | 'bell';

function bodyOf(plan: Plan, draw: Draw, pattern: Pattern): Body {
  const half = between(draw, 0.46, 0.64);
  const worn = { pattern, group: 1 } as const;
  switch (plan) {
    case 'egg':
      return { parts: [ellipse(0, 0.12, half + 0.05, 0.6, 'main', worn)], half: half + 0.05, top: -0.48, bottom: 0.7 };
    case 'pear':
      return {
        parts: [ellipse(0, 0.36, half + 0.06, 0.4, 'main', worn), ellipse(0, -0.22, half * 0.72, 0.38, 'main', worn)],
        half,
        top: -0.6,
        bottom: 0.74,
      };
    case 'block':
      return { parts: [box(0, 0.1, half, 0.62, 'main', { ...worn, round: 0.2 })], half, top: -0.52, bottom: 0.72 };
    case 'drop':
      return {
        parts: [capsule([0, -0.5, 0.12], [0, 0.26, half], 'main', worn)],
        half: half * 0.9,
        top: -0.58,
        bottom: 0.26 + half,
      };
    case 'gem':
      return {
        parts: [
          polygon([0, -0.6, half + 0.12, -0.05, half * 0.7, 0.68, -half * 0.7, 0.68, -half - 0.12, -0.05], 'main', {
            ...worn,
            round: 0.1,
          }),
        ],
        half: half + 0.05,
        top: -0.6,
        bottom: 0.76,
      };
    case 'bell':
      return {
        parts: [
          polygon([-half * 0.55, -0.42, half * 0.55, -0.42, half + 0.04, 0.6, -half - 0.04, 0.6], 'main', {
            ...worn,
            round: 0.14,
          }),
        ],
        half: half * 0.85,
        top: -0.54,
        bottom: 0.72,
      };
  }
}

function feet(draw: Draw, body: Body): Part[] {
  const y = body.bottom;
  switch (pick(draw, ['two', 'three', 'roots', 'claws', 'none'] as const)) {
    case 'two':
      return pair(ellipse(0.26, y + 0.05, 0.2, 0.11, 'third'));
    case 'three':
      return [-0.34, 0, 0.34].map((x) => box(x, y + 0.04, 0.1, 0.16, 'third', { round: 0.07 }));
    case 'roots':
      return [-0.42, -0.15, 0.15, 0.42].map((x) =>
        capsule([x * 0.7, y - 0.15, 0.11], [x * 1.1, y + 0.12, 0.07], 'second'),
      );
    case 'claws':
      return pair(
        polygon(
          [0.1, y - 0.1, 0.02, y + 0.16, 0.2, y + 0.08, 0.3, y + 0.2, 0.4, y + 0.06, 0.46, y + 0.12, 0.4, y - 0.1],
          'third',
          { round: 0.03 },
        ),
      );
    case 'none':
      return [];
  }
}

function limbs(draw: Draw, body: Body): Part[] {
  const [x, y] = [body.half - 0.06, between(draw, 0.05, 0.3)];
  const paint: Paint = pick(draw, ['main', 'second', 'third']);
  switch (pick(draw, ['raised', 'hanging', 'wings', 'fins', 'batwings'] as const)) {
    case 'raised':
      return pair(capsule([x, y, 0.1], [x + 0.28, y - 0.36, 0.13], paint));
    case 'hanging':
      return pair(capsule([x, y, 0.1], [x + 0.2, y + 0.34, 0.13], paint));
    case 'wings':
      return pair(ellipse(x + 0.18, y - 0.15, 0.36, 0.19, paint, { angle: -0.7 }));
    case 'fins':
      return pair(polygon([x - 0.05, y - 0.2, x + 0.36, y - 0.02, x - 0.05, y + 0.2], paint, { round: 0.05 }));
    case 'batwings':
      return pair(
        polygon(
          [x - 0.1, y, x + 0.2, y - 0.5, x + 0.42, y - 0.36, x + 0.44, y + 0.1, x + 0.24, y, x + 0.1, y + 0.16],
          paint,
          { round: 0.03 },
        ),
      );
  }
}

/** Where limbs of the head sprout: on an ellipse over the body's top. */
function crown(draw: Draw, body: Body): Part[] {
  const y = body.top + 0.1;
  const paint: Paint = pick(draw, ['second', 'third']);
  switch (pick(draw, ['horns', 'antennae', 'spikes', 'leaves', 'unicorn', 'fans', 'curls'] as const)) {
    case 'horns':
      return pair(polygon([0.1, y, 0.4, y - 0.36, 0.34, y + 0.08], paint, { round: 0.04 }));
    case 'antennae':
      return [
        ...pair(capsule([0.12, y, 0.04], [0.32, y - 0.36, 0.035], 'steel')),
        ...pair(ellipse(0.33, y - 0.38, 0.11, 0.11, paint)),
      ];
    case 'spikes':
      return [-0.26, 0, 0.26].map((x) =>
        polygon([x - 0.15, y + 0.08, x, y - (x === 0 ? 0.4 : 0.26), x + 0.15, y + 0.08], paint, { round: 0.03 }),
      );
    case 'leaves':
      return [
        ...pair(ellipse(0.17, y - 0.14, 0.25, 0.1, paint, { angle: -0.7 })),
        ellipse(0, y - 0.18, 0.1, 0.26, paint),
      ];
    case 'unicorn':
      return [polygon([-0.14, y + 0.05, 0, y - 0.46, 0.14, y + 0.05], paint, { round: 0.03 })];
    case 'fans':
      return pair(ellipse(0.36, y + 0.02, 0.24, 0.32, paint, { angle: 0.5 }));
    case 'curls':
      return pair(arc(0.24, y - 0.08, 0.18, 2.2, 0.07, paint, { angle: 0.6 }));
  }
}

function eye(x: number, y: number, r: number): Part[] {
  return [
    ellipse(x, y, r, r, 'white'),
    ellipse(x, y + r * 0.1, r * 0.55, r * 0.62, 'ink', plain),
    ellipse(x - r * 0.2, y - r * 0.15, r * 0.22, r * 0.22, 'white', plain),
  ];
}

function face(draw: Draw, y: number): Part[] {
  const count = pick(draw, [1, 2, 2, 2, 3]);
  const r = count === 1 ? between(draw, 0.22, 0.28) : between(draw, 0.14, 0.19);
  const xs = count === 1 ? [0] : count === 2 ? [-r - 0.03, r + 0.03] : [-2 * r, 0, 2 * r];
  const below = y + r + 0.1;
  const mouths = {
    smile: [arc(0, below - 0.08, 0.15, 1, 0.035, 'ink', { angle: Math.PI, line: false })],
    open: [ellipse(0, below + 0.03, 0.12, 0.09, 'ink', plain), ellipse(0, below + 0.07, 0.07, 0.04, 'rose', plain)],
    fangs: [
      box(0, below, 0.18, 0.03, 'ink', { round: 0.02, line: false }),
      ...pair(polygon([0.05, below + 0.01, 0.15, below + 0.01, 0.1, below + 0.13], 'white', plain)),
    ],
    beak: [polygon([-0.12, below - 0.08, 0.12, below - 0.08, 0, below + 0.12], 'warm', { round: 0.03 })],
  };
  return [
    ...xs.flatMap((x, i) => eye(x, count === 3 && i === 1 ? y - r * 0.7 : y, r)),
    ...mouths[pick(draw, ['smile', 'open', 'fangs', 'beak'] as const)],
  ];
}

function badge(draw: Draw, y: number): Part[] {
  switch (pick(draw, ['oval', 'star', 'bands', 'none', 'gem'] as const)) {
    case 'oval':
      return [ellipse(0, y, 0.26, 0.22, 'third', plain)];
    case 'star':
      return [polygon(starCorners(0, y, 5, 0.2, 0.1), 'third', { round: 0.02 })];
    case 'gem':
      return [polygon([0, y - 0.17, 0.14, y, 0, y + 0.17, -0.14, y], 'third', { round: 0.02 })];
    case 'bands':
      return [-0.1, 0.05].map((dy) => capsule([-0.22, y + dy, 0.04], [0.22, y + dy, 0.04], 'third', plain));
    case 'none':
      return [];
  }
}

function tail(draw: Draw, body: Body): Part[] {
  const y = body.bottom - 0.12;
  switch (pick(draw, ['none', 'none', 'curl', 'dart', 'puff'] as const)) {
    case 'curl':
      return [arc(body.half + 0.12, y - 0.1, 0.2, 2, 0.08, 'second', { angle: 2 })];
    case 'dart':
      return [
        capsule([body.half - 0.15, y, 0.06], [body.half + 0.26, y - 0.2, 0.05], 'second'),
        polygon([body.half + 0.12, y - 0.22, body.half + 0.36, y - 0.42, body.half + 0.38, y - 0.1], 'third', {
          round: 0.02,
        }),
      ];
    case 'puff':
      return [ellipse(body.half + 0.06, y, 0.17, 0.17, 'third')];
    case 'none':
      return [];
  }
}

const nearestOf: Readonly<Record<Plan, Shape>> = {
  egg: 'owl',
  pear: 'bear',
  block: 'frog',
  drop: 'bird',
  gem: 'butterfly',
  bell: 'octopus',
};

/** A small monster: a patterned trunk with a face, and limbs, crown, feet, tail and badge, mirrored left and right. */
export function creaturePlan(draw: Draw, pattern: Pattern): { design: Design; nearest: Shape } {
  const plan = pick(draw, ['egg', 'pear', 'block', 'drop', 'gem', 'bell'] as const);
  const body = bodyOf(plan, draw, pattern);
  const eyesAt = body.top + between(draw, 0.38, 0.46);
  const parts = [
    ...tail(draw, body),
    ...limbs(draw, body),
    ...crown(draw, body),
    ...feet(draw, body),
    ...body.parts,
    ...badge(draw, 0.42),
    ...face(draw, eyesAt),
  ];
  const design: Design = {
    parts,
    top: [0, body.top + 0.04, 0.34],
    neck: [0, eyesAt + 0.42, body.half * 0.86],
    bow: [body.half * 0.6, body.top + 0.08, 0.27],
  };
  return { design, nearest: nearestOf[plan] };
}
