import { ConfigError } from '../errors.js';
import { pick, uniformDraws } from '../random/hash.js';
import { backgrounds, positions, type Scene, type SuperClass, sizes } from './attributes.js';
import { newRender, type Render, renderSprite } from './render.js';
import { type Sprite, spriteFrom } from './sprites.js';

/** Concepts in all. */
export const CONCEPTS = 30;
/** Concepts that tables are made of: 13 creatures, 12 objects. */
export const evaluationConcepts: readonly number[] = Array.from({ length: 25 }, (_, i) => i);
/** Concepts that settings may be chosen on, and that no table shows: 3 creatures, 2 objects. */
export const developmentConcepts: readonly number[] = [25, 26, 27, 28, 29];

const stream = { concept: 0x2000, training: 0x2001, reference: 0x2002 } as const;

/** Seeds of the concepts, chosen by eye for sprites that differ from one another. Creatures first in either part. */
const creatureSeeds = [1, 2, 3, 7, 8, 9, 10, 14, 21, 25, 30, 36, 41, 47, 55, 58];
const objectSeeds = [0, 1, 3, 6, 7, 12, 15, 20, 22, 35, 39, 40, 53, 57];
const chosen: readonly (readonly [SuperClass, number])[] = [
  ...creatureSeeds.slice(0, 13).map((seed) => ['creature', seed] as const),
  ...objectSeeds.slice(0, 12).map((seed) => ['object', seed] as const),
  ...creatureSeeds.slice(13).map((seed) => ['creature', seed] as const),
  ...objectSeeds.slice(12).map((seed) => ['object', seed] as const),
];

/** A picture with the scene it shows. */
export interface View {
  readonly scene: Scene;
  readonly picture: Render;
}

/**
 * One of the novel sprites that personalisation is tried on.
 * @param index 0…24 for tables, 25…29 for development
 * @throws ConfigError for another index
 */
export function concept(index: number): Sprite {
  const entry = chosen[index];
  if (entry === undefined)
    throw new ConfigError(`[concept] index: expected an integer from 0 to ${CONCEPTS - 1}, got ${index}`);
  return spriteFrom(entry[1], stream.concept, entry[0]);
}

/** The one picture of a concept to train on: plain style, no accessory, its place and background fixed by its index. */
export function conceptTrainingView(index: number): View {
  const draw = uniformDraws(index, stream.training);
  const scene: Scene = {
    background: pick(draw, backgrounds),
    position: pick(draw, positions),
    size: pick(draw, ['medium', 'large'] as const),
    style: 'flat',
    accessory: 'none',
    seed: Math.floor(draw() * 2 ** 32),
  };
  return { scene, picture: renderSprite(concept(index), scene, newRender()) };
}

/** Other pictures of a concept, against which fidelity is measured: other backgrounds and places, all sizes. */
export function conceptReferenceViews(index: number, count: number): View[] {
  const own = concept(index);
  const seen = conceptTrainingView(index).scene;
  const draw = uniformDraws(index, stream.reference);
  return Array.from({ length: count }, () => {
    const scene: Scene = {
      background: pick(
        draw,
        backgrounds.filter((value) => value !== seen.background),
      ),
      position: pick(
        draw,
        positions.filter((value) => value !== seen.position),
      ),
      size: pick(draw, sizes),
      style: 'flat',
      accessory: 'none',
      seed: Math.floor(draw() * 2 ** 32),
    };
    return { scene, picture: renderSprite(own, scene, newRender()) };
  });
}
