import { ConfigError } from '../errors.js';
import { SIDE } from '../world/canvas.js';
import { copyLimit } from './copies.js';
import { type Figures, figuresOf, type PromptedPicture, type ReadReference, type Reference } from './figures.js';
import { meanDirection } from './identities.js';
import type { Reader } from './reader.js';

/** Reads a reference once, for all pictures that are judged against it. */
export async function readReference(evaluators: Reader, reference: Reference): Promise<ReadReference> {
  const { views, training } = reference;
  const readings = await evaluators.read((views.length > 0 ? views : [training]).map(({ image }) => image));
  const copyLimits = {
    whole: copyLimit(views, false),
    masked: training.alpha === undefined ? null : copyLimit(views, true),
  };
  return { ...reference, readings, copyLimits };
}

function checkPictures(name: string, pictures: readonly PromptedPicture[]): void {
  if (pictures.length === 0) throw new ConfigError(`[evaluate] ${name}: expected at least one picture, got none`);
  const wrong = pictures.findIndex(({ image }) => image.length !== SIDE * SIDE * 3);
  if (wrong >= 0)
    throw new ConfigError(
      `[evaluate] ${name}.${wrong}: expected ${SIDE}×${SIDE}×3 values, got ${pictures[wrong]!.image.length}`,
      { hint: 'The evaluators read pictures of the mini world only.' },
    );
}

/**
 * Judges one set of pictures.
 * @param others identities of other subjects, to tell the subject from
 * @param name of the set, for messages
 * @throws (by rejecting) ConfigError for no pictures or pictures of another size
 */
export async function judgePictures(
  evaluators: Reader,
  reference: ReadReference,
  pictures: readonly PromptedPicture[],
  { others = [], name = 'pictures' }: { others?: readonly Float32Array[]; name?: string } = {},
): Promise<Figures> {
  checkPictures(name, pictures);
  const readings = await evaluators.read(pictures.map(({ image }) => image));
  const texts = await evaluators.readTexts(pictures.map(({ text }) => text));
  return figuresOf({ pictures, readings, texts, reference, gallery: [meanDirection(reference.readings), ...others] });
}

/** The training picture in place of every picture: the most fidelity, the least that prompts can get. */
export function pastedPictures(pictures: readonly PromptedPicture[], { training }: Reference): PromptedPicture[] {
  return pictures.map((picture) => ({ ...picture, image: training.image }));
}
