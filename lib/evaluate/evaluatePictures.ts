import type { Figures, PromptedPicture, Reference } from './figures.js';
import { judgePictures, pastedPictures, readReference } from './judge.js';
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

function above(own: number | null, floor: number | null): number | null {
  return own === null || floor === null ? null : own - floor;
}

/**
 * Judges pictures of one subject by the evaluators.
 * @throws (by rejecting) ConfigError for no pictures or pictures of another size
 */
export async function evaluatePictures(options: EvaluateOptions): Promise<Evaluation> {
  const { evaluators, pictures, oracle, floor, others = [] } = options;
  const reference = await readReference(evaluators, options.reference);
  const row = (name: string, set: readonly PromptedPicture[]): Promise<Figures> =>
    judgePictures(evaluators, reference, set, { others, name });
  const own = await row('pictures', pictures);
  const least = floor === undefined ? null : await row('floor', floor);
  return {
    pictures: own,
    oracle: oracle === undefined ? null : await row('oracle', oracle),
    floor: least,
    pasted: await row('pasted', pastedPictures(pictures, reference)),
    leak:
      least === null
        ? null
        : {
            background: above(own.leakBackground, least.leakBackground),
            position: above(own.leakPosition, least.leakPosition),
          },
  };
}
