import { type Draw, pick, shuffled, uniformDraws } from '../random/hash.js';
import type { Shape, SuperClass } from './attributes.js';
import { hsl, type Rgb } from './canvas.js';
import { type Paints, paintsAround } from './palette.js';
import type { Design, PatternKind } from './part.js';
import { randomPattern } from './pattern.js';
import { creaturePlan } from './spriteCreatures.js';
import { objectPlan } from './spriteObjects.js';

/** One particular thing with parts, patterns and colours of its own, of none of the shape classes. */
export interface Sprite {
  readonly seed: number;
  readonly superClass: SuperClass;
  /** The word for it in a prompt: its super-class. */
  readonly noun: SuperClass;
  /** The shape class that it resembles most. */
  readonly nearest: Shape;
  readonly design: Design;
  readonly paints: Paints;
}

const kinds: readonly PatternKind[] = ['stripes', 'spots', 'patches', 'checks', 'rings', 'zigzag'];

/** Three colours a viewer can tell apart: hues at least a fifth of a turn apart, one light and one dark. */
function threeColours(draw: Draw): [Rgb, Rgb, Rgb] {
  const hue = draw();
  const step = pick(draw, [0.2, 0.27, 0.33, 0.42, 0.5]) * pick(draw, [1, -1]);
  const lightness = shuffled(draw, [0.46, 0.78, 0.6]);
  const colour = (k: number): Rgb => hsl(hue + k * step, 0.55 + 0.3 * draw(), lightness[k]!);
  return [colour(0), colour(1), colour(2)];
}

/** A sprite from the generator family, for a generator state. */
export function spriteFrom(seed: number, stream: number, superClass: SuperClass): Sprite {
  const draw = uniformDraws(seed, stream);
  const [main, second, third] = threeColours(draw);
  const { design, nearest } = (superClass === 'creature' ? creaturePlan : objectPlan)(draw, randomPattern(draw, kinds));
  return { seed, superClass, noun: superClass, nearest, design, paints: paintsAround(main, second, third) };
}

const trainingStream = 0x1000;

/**
 * A sprite to train an embedding of identity on: every seed gives another one, half of them creatures. None of them
 * is a concept, which are drawn from another stream.
 */
export function sprite(seed: number): Sprite {
  return spriteFrom(seed, trainingStream, seed % 2 === 0 ? 'creature' : 'object');
}
