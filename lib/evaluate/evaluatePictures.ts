import { ConfigError } from '../errors.js';
import { SIDE } from '../world/canvas.js';
import { type Figures, figuresOf, type PromptedPicture, type Reference } from './figures.js';
import { meanDirection } from './identities.js';
import type { Reader } from './reader.js';

export interface EvaluateOptions {
  /** What `openEvaluators` gives. */
  readonly evaluators: Reader;
  /** The pictures to judge. */
  readonly pictures: readonly PromptedPicture[];
  readonly reference: Reference;
  /** Perfect pictures for the same prompts, if they can be rendered: the upper bound. */
  readonly oracle?: readonly PromptedPicture[] | undefined;
  /** Pictures of the model without an adapter, of the class noun: the least fidelity, the most that prompts can ask for. */
  readonly floor?: readonly PromptedPicture[] | undefined;
  /** Identities of other subjects (`galleryOf`), to tell the subject from. */
  readonly others?: readonly Float32Array[] | undefined;
}

/** Figures of the pictures, and of the rows that say what they are worth. */
export interface Evaluation {
  readonly pictures: Figures;
  readonly oracle: Figures | null;
  readonly floor: Figures | null;
  /** The training picture in place of every picture: the most fidelity, the least that prompts can get. */
  readonly pasted: Figures;
  /** How much more of the training picture's scene shows than without an adapter; null without a floor. */
  readonly leak: { readonly background: number | null; readonly position: number | null } | null;
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

function above(own: number | null, floor: number | null): number | null {
  return own === null || floor === null ? null : own - floor;
}

/**
 * Judges pictures of one subject by the evaluators.
 * @throws (by rejecting) ConfigError for no pictures or pictures of another size
 */
export async function evaluatePictures(options: EvaluateOptions): Promise<Evaluation> {
  const { evaluators, pictures, reference, oracle, floor, others = [] } = options;
  checkPictures('pictures', pictures);
  const views = await evaluators.read(
    (reference.views.length > 0 ? reference.views : [reference.training]).map(({ image }) => image),
  );
  const gallery = [meanDirection(views), ...others];
  const row = async (name: string, set: readonly PromptedPicture[]): Promise<Figures> => {
    checkPictures(name, set);
    const readings = await evaluators.read(set.map(({ image }) => image));
    const texts = await evaluators.readTexts(set.map(({ text }) => text));
    return figuresOf({ pictures: set, readings, texts, reference, views, gallery });
  };
  const own = await row('pictures', pictures);
  const least = floor === undefined ? null : await row('floor', floor);
  return {
    pictures: own,
    oracle: oracle === undefined ? null : await row('oracle', oracle),
    floor: least,
    pasted: await row(
      'pasted',
      pictures.map((picture) => ({ ...picture, image: reference.training.image })),
    ),
    leak:
      least === null
        ? null
        : {
            background: above(own.leakBackground, least.leakBackground),
            position: above(own.leakPosition, least.leakPosition),
          },
  };
}
