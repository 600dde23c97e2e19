// A concept of the mini world as something to measure against.
import { pixelsToSigned } from '../io/image.js';
import { deriveSeed } from '../random/philox.js';
import { CONCEPTS, concept, conceptReferenceViews, conceptTrainingView } from '../world/concepts.js';
import { fillPrompt, type Prompt, recordFor } from '../world/prompts.js';
import { type Render, renderSprite } from '../world/render.js';
import { type MaskedPicture, pictureDistance } from './copies.js';
import type { PromptedPicture, Reference } from './figures.js';

/** Views that a concept is measured against. */
export const REFERENCE_VIEWS = 64;
const ORACLE_SEED = 2 ** 49;

const maskedOf = ({ pixels, alpha }: Render): MaskedPicture => ({ image: pixelsToSigned(pixels), alpha });

/** Training picture, scene and views of a concept. @throws ConfigError for an index that is none */
export function conceptReference(index: number, views: number = REFERENCE_VIEWS): Reference {
  const { scene, picture } = conceptTrainingView(index);
  return {
    training: maskedOf(picture),
    scene,
    views: conceptReferenceViews(index, views).map((view) => maskedOf(view.picture)),
  };
}

/** Levels of 255 by which a saved training picture may differ from the render. */
const SAME = 0.5;

/** The concept whose training picture this is, or null. @param image [64, 64, 3] in −1…1 */
export function conceptOf(image: Float32Array): number | null {
  for (let index = 0; index < CONCEPTS; index++) {
    const own = pixelsToSigned(conceptTrainingView(index).picture.pixels);
    if (pictureDistance(image, own) < SAME) return index;
  }
  return null;
}

/** The prompt with a noun for the subject, as a picture of it is judged. */
export function promptedBy(prompt: Prompt, noun: string, image: Float32Array): PromptedPicture {
  const { kind, template, attributes } = prompt;
  return { image, kind, text: fillPrompt(template, noun), asked: attributes };
}

/** `each` perfect pictures of a concept for each prompt: what was asked for is there, the rest of the scene is random and plain. */
export function oraclePictures(index: number, prompts: readonly Prompt[], each: number): PromptedPicture[] {
  const own = concept(index);
  return prompts.flatMap((prompt, p) =>
    Array.from({ length: each }, (_, i) => {
      const { attributes } = prompt;
      const seed = deriveSeed(ORACLE_SEED + index, p * 1024 + i);
      const record = recordFor({ style: 'flat', accessory: 'none', ...attributes }, seed);
      const { background, position, size, style, accessory } = record;
      const scene = { background, position, size, style, accessory, seed: record.seed };
      const { colour } = attributes;
      const picture = renderSprite(own, colour === undefined ? scene : { ...scene, colour });
      return promptedBy(prompt, own.noun, pixelsToSigned(picture.pixels));
    }),
  );
}
