import type { Draw } from '../random/hash.js';
import type { ObjectShape } from './attributes.js';
import { jitter } from './creatures.js';
import { arc, type Builder, box, capsule, type Design, ellipse, pair, polygon, starCorners } from './part.js';

const plain = { line: false } as const;

function house(draw: Draw): Design {
  const [wide, peak] = [0.62 * jitter(draw, 0.06), -0.85 * jitter(draw, 0.06)];
  return {
    parts: [
      box(0.4, -0.5, 0.11, 0.3, 'steel', { round: 0.01 }),
      box(0, 0.4, wide, 0.52, 'main', { round: 0.02 }),
      polygon([-wide - 0.22, 0, 0, peak, wide + 0.22, 0], 'dark', { round: 0.04 }),
      box(-0.24, 0.62, 0.17, 0.3, 'wood', { round: 0.03 }),
      ellipse(-0.14, 0.64, 0.035, 0.035, 'gold', plain),
      box(0.27, 0.4, 0.2, 0.18, 'glass', { round: 0.02 }),
      capsule([0.27, 0.24, 0.022], [0.27, 0.56, 0.022], 'ink', plain),
      capsule([0.09, 0.4, 0.022], [0.45, 0.4, 0.022], 'ink', plain),
      ellipse(0, -0.32, 0.13, 0.13, 'glass'),
    ],
    top: [0, -0.7, 0.32],
    neck: [0, 0.08, 0.56],
    bow: [0.02, -0.66, 0.28],
  };
}

function car(draw: Draw): Design {
  const roof = -0.42 * jitter(draw, 0.1);
  return {
    parts: [
      polygon([-0.6, 0.1, -0.38, roof, 0.3, roof, 0.6, 0.1], 'main', { group: 1, round: 0.08 }),
      box(0, 0.3, 0.95, 0.3, 'main', { group: 1, round: 0.17 }),
      polygon([-0.44, 0.04, -0.3, roof + 0.08, -0.08, roof + 0.08, -0.08, 0.04], 'glass', { line: false, round: 0.04 }),
      polygon([0.06, 0.04, 0.06, roof + 0.08, 0.24, roof + 0.08, 0.42, 0.04], 'glass', { line: false, round: 0.04 }),
      capsule([-0.85, 0.42, 0.045], [0.85, 0.42, 0.045], 'dark', plain),
      ellipse(0.86, 0.2, 0.09, 0.1, 'gold', plain),
      ellipse(-0.9, 0.2, 0.06, 0.09, 'rose', plain),
      ...[-0.48, 0.48].flatMap((x) => [
        ellipse(x, 0.56, 0.25, 0.25, 'ink'),
        ellipse(x, 0.56, 0.11, 0.11, 'pale', plain),
      ]),
    ],
    top: [-0.03, -0.48, 0.34],
    neck: [0, 0.14, 0.66],
    bow: [-0.06, -0.48, 0.28],
  };
}

function boat(draw: Draw): Design {
  const sail = 0.66 * jitter(draw, 0.07);
  return {
    parts: [
      capsule([0, -0.92, 0.045], [0, 0.4, 0.045], 'wood'),
      polygon([0.1, -0.82, 0.1 + sail, 0.26, 0.1, 0.26], 'white', { round: 0.03 }),
      polygon([-0.1, -0.6, -0.1, 0.26, -0.56, 0.26], 'pale', { round: 0.03 }),
      polygon([0.03, -0.95, -0.28, -0.84, 0.03, -0.74], 'main', { round: 0.01 }),
      polygon([-0.92, 0.42, 0.92, 0.42, 0.62, 0.86, -0.6, 0.86], 'main', { round: 0.07 }),
      capsule([-0.78, 0.52, 0.05], [0.78, 0.52, 0.05], 'pale', plain),
      ...[-0.3, 0.02, 0.34].map((x) => ellipse(x, 0.7, 0.065, 0.065, 'white', plain)),
    ],
    top: [0, -0.86, 0.26],
    neck: [0, 0.4, 0.6],
    bow: [0.04, -0.2, 0.28],
  };
}

function rocket(draw: Draw): Design {
  const wide = 0.36 * jitter(draw, 0.07);
  return {
    parts: [
      polygon([-0.2, 0.62, 0.2, 0.62, 0.1, 0.86, 0, 1, -0.1, 0.86], 'warm', { round: 0.05 }),
      polygon([-0.09, 0.62, 0.09, 0.62, 0, 0.84], 'gold', { round: 0.03, line: false }),
      ...pair(polygon([0.26, 0.16, 0.68, 0.52, 0.66, 0.78, 0.26, 0.58], 'dark', { round: 0.04 })),
      ellipse(0, 0.04, wide, 0.98, 'main', { cut: 0.6 }),
      ellipse(0, 0.04, wide, 0.98, 'dark', { cut: -0.62, line: false }),
      box(0, 0.6, 0.24, 0.07, 'steel', { round: 0.04 }),
      ellipse(0, -0.16, 0.2, 0.2, 'white'),
      ellipse(0, -0.16, 0.125, 0.125, 'glass', plain),
      ellipse(-0.04, -0.2, 0.04, 0.04, 'white', plain),
      capsule([-0.26, 0.3, 0.04], [0.26, 0.3, 0.04], 'pale', plain),
    ],
    top: [0, -0.74, 0.28],
    neck: [0, 0.2, 0.34],
    bow: [0.16, -0.6, 0.26],
  };
}

function mug(draw: Draw): Design {
  const tall = 0.58 * jitter(draw, 0.07);
  return {
    parts: [
      ellipse(0.5, 0.18, 0.3, 0.32, 'main', { hollow: 0.09 }),
      box(-0.1, 0.2, 0.56, tall, 'main', { round: 0.16 }),
      ellipse(-0.1, 0.22 - tall, 0.54, 0.15, 'pale'),
      ellipse(-0.1, 0.25 - tall, 0.42, 0.09, 'wood', plain),
      capsule([-0.5, 0, 0.045], [-0.5, 0.5, 0.045], 'pale', plain),
      ...pair(capsule([0.22, -0.62, 0.03], [0.16, -0.8, 0.03], 'white', plain)).map((p) => ({ ...p, x: p.x - 0.1 })),
      ellipse(-0.22, 0.22, 0.13, 0.13, 'white', plain),
      ellipse(0.06, 0.22, 0.13, 0.13, 'white', plain),
      polygon([-0.33, 0.27, 0.17, 0.27, -0.08, 0.54], 'white', { line: false, round: 0.02 }),
    ],
    top: [-0.1, -0.42, 0.4],
    neck: [-0.1, 0.02, 0.54],
    bow: [0.3, -0.36, 0.28],
  };
}

function umbrella(draw: Draw): Design {
  const high = 0.78 * jitter(draw, 0.05);
  return {
    parts: [
      capsule([0, -0.9, 0.045], [0, 0.72, 0.05], 'wood', { group: 1 }),
      arc(0.17, 0.72, 0.17, Math.PI / 2, 0.05, 'wood', { angle: Math.PI, group: 1 }),
      ellipse(0, 0.02, 0.92, high, 'main', { cut: 0 }),
      ellipse(0, 0.02, 0.4, high, 'pale', { cut: 0, line: false }),
      capsule([0, -high + 0.04, 0.03], [0, 0, 0.03], 'dark', plain),
      ellipse(0, -high, 0.07, 0.07, 'gold'),
    ],
    top: [0, -0.72, 0.32],
    neck: [0, 0.28, 0.2],
    bow: [0.1, -0.66, 0.28],
  };
}

function flower(draw: Draw): Design {
  const turn = draw() * 0.9;
  const petals = 6 + Math.floor(draw() * 2);
  return {
    parts: [
      capsule([0, 0, 0.06], [0.04, 0.95, 0.07], 'leaf', { group: 1 }),
      ellipse(0.3, 0.66, 0.27, 0.11, 'leaf', { angle: -0.5, group: 1 }),
      ellipse(-0.24, 0.76, 0.25, 0.1, 'leaf', { angle: 0.5, group: 1 }),
      ...Array.from({ length: petals }, (_, i) => {
        const angle = turn + (2 * Math.PI * i) / petals;
        return ellipse(0.4 * Math.sin(angle), -0.3 - 0.4 * Math.cos(angle), 0.23, 0.3, 'main', { angle });
      }),
      ellipse(0, -0.3, 0.26, 0.26, 'gold'),
      ...pair(ellipse(0.09, -0.33, 0.04, 0.055, 'ink', plain)),
      arc(0, -0.3, 0.11, 0.9, 0.025, 'ink', { angle: Math.PI, line: false }),
    ],
    top: [0, -0.82, 0.32],
    neck: [0.02, 0.38, 0.18],
    bow: [0.36, -0.72, 0.28],
  };
}

function mushroom(draw: Draw): Design {
  const [high, lean] = [0.88 * jitter(draw, 0.05), (draw() - 0.5) * 0.1];
  return {
    parts: [
      box(0, 0.52, 0.28, 0.4, 'white', { round: 0.18 }),
      ellipse(0, 0.18, 0.84, high, 'main', { cut: 0.04 }),
      ellipse(lean, -0.34, 0.19, 0.16, 'white', plain),
      ellipse(-0.46, -0.1, 0.13, 0.14, 'white', plain),
      ellipse(0.48, -0.12, 0.14, 0.15, 'white', plain),
      ellipse(0.26, -0.5, 0.07, 0.06, 'white', plain),
      ...pair(ellipse(0.1, 0.46, 0.04, 0.06, 'ink', plain)),
      arc(0, 0.5, 0.09, 0.9, 0.025, 'ink', { angle: Math.PI, line: false }),
      ...pair(ellipse(0.19, 0.54, 0.05, 0.035, 'rose', plain)),
    ],
    top: [0, -0.62, 0.36],
    neck: [0, 0.34, 0.28],
    bow: [0.4, -0.46, 0.28],
  };
}

function cactus(draw: Draw): Design {
  const [left, right] = [0.22 + draw() * 0.2, draw() * 0.25];
  const limb = { group: 1 } as const;
  return {
    parts: [
      capsule([-0.1, left, 0.13], [-0.52, left, 0.13], 'main', limb),
      capsule([-0.52, left, 0.13], [-0.52, left - 0.42, 0.13], 'main', limb),
      capsule([0.1, right, 0.13], [0.52, right, 0.13], 'main', limb),
      capsule([0.52, right, 0.13], [0.52, right - 0.4, 0.13], 'main', limb),
      capsule([0, -0.58, 0.27], [0, 0.5, 0.28], 'main', limb),
      ...[-0.11, 0.11].map((x) => capsule([x, -0.62, 0.03], [x, 0.44, 0.03], 'dark', plain)),
      ellipse(0.53, right - 0.46, 0.07, 0.06, 'rose', plain),
      polygon([-0.42, 0.5, 0.42, 0.5, 0.32, 0.92, -0.32, 0.92], 'wood', { round: 0.04 }),
      box(0, 0.53, 0.47, 0.09, 'wood', { round: 0.03 }),
    ],
    top: [0, -0.78, 0.3],
    neck: [0, -0.1, 0.3],
    bow: [0.18, -0.74, 0.26],
  };
}

function star(draw: Draw): Design {
  const inner = 0.47 * jitter(draw, 0.06);
  return {
    parts: [
      polygon(starCorners(0, 0.06, 5, 0.92, inner), 'main', { round: 0.08 }),
      polygon(starCorners(0, 0.06, 5, 0.5, inner * 0.56), 'pale', { round: 0.04, line: false }),
      ...pair(ellipse(0.13, 0.02, 0.06, 0.085, 'ink', plain)),
      arc(0, 0.06, 0.14, 0.9, 0.03, 'ink', { angle: Math.PI, line: false }),
    ],
    top: [0, -0.72, 0.28],
    neck: [0, 0.42, 0.44],
    bow: [0.14, -0.62, 0.28],
  };
}

function heart(draw: Draw): Design {
  const lobe = 0.47 * jitter(draw, 0.04);
  return {
    parts: [
      ...pair(ellipse(0.4, -0.3, lobe, lobe, 'main', { group: 1 })),
      polygon([-0.77, -0.06, 0, -0.4, 0.77, -0.06, 0, 0.82], 'main', { group: 1, round: 0.06 }),
      ellipse(-0.46, -0.42, 0.17, 0.1, 'pale', { angle: -0.7, line: false }),
      ellipse(-0.64, -0.16, 0.05, 0.06, 'pale', plain),
    ],
    top: [0.02, -0.6, 0.36],
    neck: [0, 0.2, 0.62],
    bow: [0.42, -0.7, 0.28],
  };
}

function apple(draw: Draw): Design {
  const lean = 0.1 + draw() * 0.16;
  return {
    parts: [
      capsule([0, -0.4, 0.05], [lean, -0.85, 0.06], 'wood'),
      ellipse(0.4, -0.72, 0.27, 0.12, 'leaf', { angle: -0.4 }),
      ...pair(ellipse(0.3, 0.2, 0.5, 0.66 * jitter(draw, 0.04), 'main', { angle: 0.12, group: 1 })),
      ellipse(0.02, -0.4, 0.2, 0.06, 'dark', plain),
      ellipse(-0.42, -0.06, 0.11, 0.2, 'pale', { angle: 0.4, line: false }),
    ],
    top: [0, -0.5, 0.38],
    neck: [0, 0.3, 0.72],
    bow: [-0.26, -0.46, 0.28],
  };
}

/** How each object is built. */
export const objectBuilders: Readonly<Record<ObjectShape, Builder>> = {
  house,
  car,
  boat,
  rocket,
  mug,
  umbrella,
  flower,
  mushroom,
  cactus,
  star,
  heart,
  apple,
};
