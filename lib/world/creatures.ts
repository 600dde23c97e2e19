import type { Draw } from '../random/hash.js';
import type { Creature } from './attributes.js';
import { arc, type Builder, box, capsule, type Design, ellipse, type Part, pair, polygon } from './part.js';

/** A factor around 1. */
export const jitter = (draw: Draw, amount: number): number => 1 + (draw() - 0.5) * 2 * amount;
const plain = { line: false } as const;

/** Round eyes with a glint, mirrored. */
function eyes(x: number, y: number, r: number): Part[] {
  return [
    ...pair(ellipse(x, y, r * 0.85, r, 'ink', plain)),
    ellipse(x - r * 0.25, y - r * 0.35, r * 0.35, r * 0.35, 'white', plain),
    ellipse(-x - r * 0.25, y - r * 0.35, r * 0.35, r * 0.35, 'white', plain),
  ];
}

/** An eye with white around it, for profiles. */
function profileEye(x: number, y: number, r: number): Part[] {
  return [
    ellipse(x, y, r, r, 'white', plain),
    ellipse(x + r * 0.25, y, r * 0.6, r * 0.68, 'ink', plain),
    ellipse(x + r * 0.05, y - r * 0.3, r * 0.22, r * 0.22, 'white', plain),
  ];
}

function smile(x: number, y: number, radius: number): Part {
  return arc(x, y - radius * 0.6, radius, 0.95, 0.035, 'ink', { angle: Math.PI, line: false });
}

const cheeks = (x: number, y: number): Part[] => pair(ellipse(x, y, 0.11, 0.075, 'rose', plain));

function cat(draw: Draw): Design {
  const [wide, ear] = [0.62 * jitter(draw, 0.07), 0.9 * jitter(draw, 0.06)];
  return {
    parts: [
      capsule([0.35, 0.75, 0.1], [0.8, 0.3, 0.1], 'main', { group: 1 }),
      capsule([0.8, 0.3, 0.1], [0.72, 0.05, 0.09], 'main', { group: 1 }),
      ellipse(0, 0.62, 0.46, 0.38, 'main'),
      ellipse(0, 0.68, 0.22, 0.24, 'pale', plain),
      ...pair(ellipse(0.2, 0.93, 0.15, 0.08, 'main')),
      ...pair(polygon([0.12, -0.5, 0.52, -ear, 0.6, -0.15], 'main', { group: 2, round: 0.03 })),
      ellipse(0, -0.08, wide, 0.5, 'main', { group: 2 }),
      ...pair(polygon([0.26, -0.5, 0.47, -ear + 0.16, 0.5, -0.33], 'rose', plain)),
      ...[-0.14, 0, 0.14].map((x) => capsule([x, -0.55, 0.035], [x * 0.8, -0.38, 0.03], 'dark', plain)),
      ...eyes(0.25, -0.08, 0.12),
      polygon([-0.07, 0.08, 0.07, 0.08, 0, 0.15], 'rose', { line: false, round: 0.02 }),
      ...pair(arc(0.08, 0.16, 0.08, 1.2, 0.028, 'ink', { angle: Math.PI, line: false })),
      ...pair(capsule([0.38, 0.1, 0.02], [0.74, 0.03, 0.02], 'ink', plain)),
      ...pair(capsule([0.38, 0.17, 0.02], [0.72, 0.21, 0.02], 'ink', plain)),
    ],
    top: [0, -0.52, 0.36],
    neck: [0, 0.4, 0.42],
    bow: [0.42, -0.52, 0.26],
  };
}

function dog(draw: Draw): Design {
  const droop = 0.28 + (draw() - 0.5) * 0.12;
  return {
    parts: [
      capsule([0.35, 0.75, 0.1], [0.78, 0.42, 0.07], 'main'),
      ellipse(0, 0.64, 0.46, 0.36, 'main'),
      ellipse(0, 0.72, 0.22, 0.24, 'pale', plain),
      ...pair(ellipse(0.22, 0.93, 0.16, 0.085, 'main')),
      ellipse(0, -0.12, 0.54 * jitter(draw, 0.05), 0.52, 'main'),
      ...pair(ellipse(0.55, -0.1, 0.19, 0.42 * jitter(draw, 0.08), 'dark', { angle: -droop })),
      ellipse(0, 0.13, 0.3, 0.23, 'pale', plain),
      ...eyes(0.22, -0.2, 0.11),
      polygon([-0.07, 0.27, 0.07, 0.27, 0.06, 0.42, -0.06, 0.42], 'rose', { round: 0.03, line: false }),
      ellipse(0, 0.04, 0.13, 0.095, 'ink', plain),
      capsule([0, 0.1, 0.025], [0, 0.22, 0.025], 'ink', plain),
      ...pair(arc(0.1, 0.18, 0.1, 1.1, 0.028, 'ink', { angle: Math.PI, line: false })),
    ],
    top: [0, -0.6, 0.36],
    neck: [0, 0.42, 0.42],
    bow: [0.34, -0.58, 0.26],
  };
}

function rabbit(draw: Draw): Design {
  const tilt = 0.14 + draw() * 0.18;
  return {
    parts: [
      ellipse(0.45, 0.78, 0.16, 0.16, 'white'),
      ellipse(0, 0.66, 0.42, 0.34, 'main'),
      ellipse(0, 0.72, 0.22, 0.23, 'pale', plain),
      ...pair(ellipse(0.24, 0.93, 0.2, 0.085, 'main')),
      ...pair(ellipse(0.25, -0.56, 0.15, 0.45 * jitter(draw, 0.05), 'main', { angle: tilt, group: 2 })),
      ellipse(0, 0.1, 0.52 * jitter(draw, 0.05), 0.42, 'main', { group: 2 }),
      ...pair(ellipse(0.25, -0.54, 0.07, 0.33, 'rose', { angle: tilt, line: false })),
      ...eyes(0.21, 0.03, 0.11),
      ...cheeks(0.34, 0.2),
      ellipse(0, 0.15, 0.06, 0.05, 'rose', plain),
      box(0, 0.31, 0.075, 0.085, 'white', { round: 0.02, line: false }),
      ...pair(arc(0.075, 0.19, 0.075, 1.2, 0.026, 'ink', { angle: Math.PI, line: false })),
    ],
    top: [0, -0.28, 0.34],
    neck: [0, 0.48, 0.4],
    bow: [0.36, -0.26, 0.26],
  };
}

function bear(draw: Draw): Design {
  const ear = 0.21 * jitter(draw, 0.1);
  return {
    parts: [
      ...pair(ellipse(0.52, 0.56, 0.16, 0.28, 'main', { angle: -0.5 })),
      ellipse(0, 0.6, 0.54 * jitter(draw, 0.05), 0.4, 'main'),
      ellipse(0, 0.65, 0.31, 0.27, 'pale', plain),
      ...pair(ellipse(0.34, 0.9, 0.2, 0.12, 'main')),
      ...pair(ellipse(0.4, -0.56, ear, ear, 'main', { group: 2 })),
      ellipse(0, -0.16, 0.58, 0.5, 'main', { group: 2 }),
      ...pair(ellipse(0.41, -0.57, ear * 0.55, ear * 0.55, 'pale', plain)),
      ellipse(0, 0.06, 0.25, 0.19, 'pale', plain),
      ...eyes(0.24, -0.2, 0.095),
      ellipse(0, -0.02, 0.11, 0.08, 'ink', plain),
      smile(0, 0.15, 0.13),
    ],
    top: [0, -0.62, 0.36],
    neck: [0, 0.36, 0.44],
    bow: [0.42, -0.6, 0.26],
  };
}

function bird(draw: Draw): Design {
  const wing = 0.42 * jitter(draw, 0.1);
  return {
    parts: [
      capsule([-0.08, 0.6, 0.04], [-0.12, 0.93, 0.04], 'warm'),
      capsule([0.16, 0.6, 0.04], [0.16, 0.93, 0.04], 'warm'),
      polygon([-0.5, 0.2, -1, -0.12, -0.92, 0.2, -0.98, 0.4, -0.4, 0.5], 'dark', { round: 0.03 }),
      polygon([0.55, -0.42, 0.95, -0.25, 0.55, -0.12], 'warm', { round: 0.02 }),
      ellipse(-0.02, 0.22, 0.62 * jitter(draw, 0.04), 0.5, 'main', { group: 1 }),
      ellipse(0.28, -0.3, 0.4, 0.38, 'main', { group: 1 }),
      ellipse(0.16, 0.36, 0.36, 0.28, 'pale', plain),
      ellipse(-0.2, 0.18, wing, 0.26, 'dark', { angle: -0.35 }),
      capsule([-0.4, 0.3, 0.03], [-0.1, 0.24, 0.03], 'main', plain),
      ...profileEye(0.36, -0.34, 0.13),
      ...[-0.08, 0.06].map((x) => capsule([0.26, -0.64, 0.05], [0.16 + x * 2, -0.84, 0.05], 'dark', plain)),
    ],
    top: [0.26, -0.62, 0.34],
    neck: [0.16, -0.02, 0.4],
    bow: [0.02, -0.56, 0.26],
  };
}

function owl(draw: Draw): Design {
  const eye = 0.27 * jitter(draw, 0.06);
  return {
    parts: [
      ...pair(ellipse(0.2, 0.9, 0.16, 0.09, 'warm')),
      ...pair(polygon([0.2, -0.62, 0.58, -0.95, 0.55, -0.4], 'main', { group: 1, round: 0.02 })),
      ellipse(0, 0.22, 0.6 * jitter(draw, 0.05), 0.66, 'main', { group: 1 }),
      ellipse(0, -0.28, 0.6, 0.46, 'main', { group: 1 }),
      ellipse(0, 0.45, 0.36, 0.4, 'pale', plain),
      ...[0.32, 0.52].flatMap((y) =>
        [-0.16, 0, 0.16].map((x) =>
          arc(x + (y > 0.4 ? 0.08 : 0) - 0.02, y - 0.04, 0.07, 1.1, 0.025, 'dark', { angle: Math.PI, line: false }),
        ),
      ),
      ...pair(ellipse(0.58, 0.3, 0.15, 0.44, 'dark', { angle: 0.12 })),
      ...pair(ellipse(0.26, -0.26, eye, eye, 'white')),
      ...eyes(0.25, -0.26, 0.15),
      polygon([-0.1, -0.12, 0.1, -0.12, 0, 0.12], 'warm', { round: 0.02 }),
    ],
    top: [0, -0.68, 0.36],
    neck: [0, 0.2, 0.52],
    bow: [0.44, -0.62, 0.26],
  };
}

function fish(draw: Draw): Design {
  const tall = 0.5 * jitter(draw, 0.07);
  return {
    parts: [
      polygon([-0.4, 0, -0.98, -0.48, -0.84, 0, -0.98, 0.48], 'dark', { round: 0.05 }),
      polygon([-0.35, -0.38, 0.05, -0.82, 0.35, -0.4], 'dark', { round: 0.05 }),
      polygon([-0.15, 0.4, -0.12, 0.75, 0.2, 0.42], 'dark', { round: 0.04 }),
      ellipse(0.16, 0, 0.72, tall, 'main'),
      ellipse(0.2, 0.22, 0.5, 0.2, 'pale', plain),
      ...[-0.22, 0.02].map((x) => arc(x - 0.35, 0, 0.5, 0.6, 0.045, 'dark', { angle: Math.PI / 2, line: false })),
      polygon([-0.02, 0.1, 0.24, 0.06, 0.02, 0.34], 'dark', { round: 0.04, line: false }),
      ...profileEye(0.52, -0.12, 0.15),
      arc(0.78, 0.1, 0.13, 0.8, 0.03, 'ink', { angle: Math.PI * 0.9, line: false }),
    ],
    top: [0.3, -0.44, 0.32],
    neck: [0.16, 0.1, 0.4],
    bow: [0.1, -0.5, 0.26],
  };
}

function frog(draw: Draw): Design {
  const gap = 0.36 * jitter(draw, 0.08);
  return {
    parts: [
      ...pair(ellipse(0.58, 0.62, 0.3, 0.3, 'dark')),
      ...pair(ellipse(0.62, 0.9, 0.26, 0.08, 'main')),
      ellipse(0, 0.52, 0.56, 0.42, 'main'),
      ellipse(0, 0.62, 0.34, 0.3, 'pale', plain),
      ...pair(ellipse(0.22, 0.92, 0.16, 0.075, 'main')),
      ...pair(ellipse(gap, -0.42, 0.25, 0.25, 'main', { group: 2 })),
      ellipse(0, -0.02, 0.72 * jitter(draw, 0.05), 0.42, 'main', { group: 2 }),
      ...pair(ellipse(gap, -0.44, 0.17, 0.17, 'white', plain)),
      ...eyes(gap, -0.42, 0.115),
      arc(0, -0.55, 0.72, 0.68, 0.035, 'ink', { angle: Math.PI, line: false }),
      ...cheeks(0.5, 0.08),
      ...pair(ellipse(0.06, -0.1, 0.028, 0.028, 'ink', plain)),
    ],
    top: [0, -0.42, 0.34],
    neck: [0, 0.36, 0.46],
    bow: [0.02, -0.44, 0.28],
  };
}

function turtle(draw: Draw): Design {
  const high = 0.72 * jitter(draw, 0.07);
  const skin = 'pale';
  return {
    parts: [
      polygon([-0.7, 0.45, -1, 0.56, -0.7, 0.62], skin, { round: 0.03 }),
      ellipse(-0.42, 0.66, 0.17, 0.22, skin),
      ellipse(0.36, 0.66, 0.17, 0.22, skin),
      capsule([0.5, 0.4, 0.16], [0.72, 0.08, 0.17], skin, { group: 1 }),
      ellipse(0.76, -0.02, 0.24, 0.22, skin, { group: 1 }),
      ellipse(-0.06, 0.5, 0.72, high + 0.2, 'main', { cut: 0 }),
      box(-0.06, 0.5, 0.76, 0.08, 'dark', { round: 0.07 }),
      polygon([-0.22, -0.12, 0.1, -0.12, 0.2, 0.12, -0.06, 0.3, -0.32, 0.12], 'dark', { round: 0.04, line: false }),
      polygon([-0.62, 0.28, -0.46, 0.06, -0.36, 0.34], 'dark', { round: 0.04, line: false }),
      polygon([0.5, 0.28, 0.34, 0.06, 0.24, 0.34], 'dark', { round: 0.04, line: false }),
      ...profileEye(0.82, -0.06, 0.09),
      arc(0.86, 0.02, 0.1, 0.8, 0.025, 'ink', { angle: Math.PI, line: false }),
    ],
    top: [0.74, -0.2, 0.26],
    neck: [0.6, 0.28, 0.22],
    bow: [0.6, -0.24, 0.24],
  };
}

function butterfly(draw: Draw): Design {
  const [upper, lower] = [0.5 * jitter(draw, 0.06), 0.36 * jitter(draw, 0.08)];
  return {
    parts: [
      ...pair(ellipse(0.4, 0.4, lower, 0.42, 'dark', { angle: -0.5 })),
      ...pair(ellipse(0.46, -0.24, upper, 0.4, 'main', { angle: -0.6 })),
      ...pair(ellipse(0.58, -0.32, 0.2, 0.16, 'pale', { angle: -0.6, line: false })),
      ...pair(ellipse(0.36, -0.02, 0.09, 0.09, 'white', plain)),
      ...pair(ellipse(0.42, 0.46, 0.14, 0.17, 'pale', { angle: -0.5, line: false })),
      ...pair(capsule([0.03, -0.5, 0.03], [0.22, -0.82, 0.03], 'ink', plain)),
      ...pair(ellipse(0.23, -0.84, 0.06, 0.06, 'ink', plain)),
      capsule([0, -0.3, 0.11], [0, 0.62, 0.07], 'steel'),
      ellipse(0, -0.42, 0.17, 0.17, 'steel'),
      ...pair(ellipse(0.065, -0.44, 0.045, 0.055, 'white', plain)),
    ],
    top: [0, -0.56, 0.24],
    neck: [0, -0.2, 0.17],
    bow: [0.12, -0.58, 0.24],
  };
}

function snail(draw: Draw): Design {
  const shell = 0.54 * jitter(draw, 0.05);
  return {
    parts: [
      capsule([0.62, 0.15, 0.05], [0.48, -0.28, 0.045], 'pale', { group: 1 }),
      capsule([0.72, 0.15, 0.05], [0.86, -0.26, 0.045], 'pale', { group: 1 }),
      capsule([-0.78, 0.82, 0.05], [0.5, 0.76, 0.15], 'pale', { group: 1 }),
      capsule([0.55, 0.7, 0.2], [0.68, 0.24, 0.2], 'pale', { group: 1 }),
      ...[0.47, 0.86].map((x) => ellipse(x, -0.33, 0.1, 0.1, 'ink', plain)),
      ellipse(-0.16, 0.2, shell, shell, 'main'),
      arc(-0.16, 0.2, shell * 0.62, 2.6, 0.05, 'dark', { angle: 0.6, line: false }),
      arc(-0.12, 0.22, shell * 0.3, 2.4, 0.05, 'dark', { angle: 2.6, line: false }),
      ellipse(-0.34, -0.04, 0.09, 0.06, 'pale', { angle: -0.7, line: false }),
      smile(0.74, 0.36, 0.09),
    ],
    top: [0.68, 0.02, 0.2],
    neck: [0.6, 0.52, 0.24],
    bow: [-0.14, -0.36, 0.26],
  };
}

function octopus(draw: Draw): Design {
  const wave = 0.12 * jitter(draw, 0.5);
  const arms = [0.16, 0.42, 0.68].flatMap((x, i) => {
    const [kneeX, kneeY, tipX] = [x * 1.12, 0.66 - i * 0.08, x * 1.15 + (i % 2 === 0 ? wave : -wave)];
    return [
      ...pair(capsule([x * 0.8, 0.25, 0.14], [kneeX, kneeY, 0.12], 'main', { group: 1 })),
      ...pair(capsule([kneeX, kneeY, 0.12], [tipX, 0.86 - i * 0.06, 0.075], 'main', { group: 1 })),
    ];
  });
  return {
    parts: [
      ...arms,
      ellipse(0, -0.22, 0.62 * jitter(draw, 0.06), 0.62, 'main', { group: 1 }),
      ellipse(-0.3, -0.58, 0.12, 0.07, 'pale', { angle: -0.6, line: false }),
      ...pair(ellipse(0.24, -0.12, 0.17, 0.19, 'white', plain)),
      ...eyes(0.23, -0.1, 0.12),
      ...cheeks(0.44, 0.08),
      smile(0, 0.16, 0.13),
      ...pair(ellipse(0.46, 0.46, 0.045, 0.045, 'pale', plain)),
      ...pair(ellipse(0.16, 0.5, 0.045, 0.045, 'pale', plain)),
    ],
    top: [0, -0.8, 0.34],
    neck: [0, 0.28, 0.5],
    bow: [0.36, -0.68, 0.26],
  };
}

/** How each creature is built. */
export const creatureBuilders: Readonly<Record<Creature, Builder>> = {
  cat,
  dog,
  rabbit,
  bear,
  bird,
  owl,
  fish,
  frog,
  turtle,
  butterfly,
  snail,
  octopus,
};
