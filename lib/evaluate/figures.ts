// Figures of a set of pictures, from what the evaluators read in them. A figure that no picture speaks to is null.
import type { Attribute, Attributes, Background, Position } from '../world/attributes.js';
import type { PromptKind } from '../world/prompts.js';
import { type CopyFigures, copyFigures, type MaskedPicture } from './copies.js';
import { nearestIdentity } from './identities.js';
import { cosine, probabilityOf, type Reading, seen } from './reader.js';

/** A picture of a prompt. */
export interface PromptedPicture {
  /** [64, 64, 3] in −1…1 */
  readonly image: Float32Array;
  readonly kind: PromptKind;
  /** The prompt, with the class noun in place of the rare token. */
  readonly text: string;
  /** What the prompt asks for. */
  readonly asked: Attributes;
}

/** What pictures are measured against. */
export interface Reference {
  readonly training: MaskedPicture;
  /** Where and before what the training picture shows its subject. */
  readonly scene: { readonly background: Background; readonly position: Position };
  /** Other true pictures of the subject; none if there are none. */
  readonly views: readonly MaskedPicture[];
}

/** A reference with what the evaluators say of it. */
export interface ReadReference extends Reference {
  /** Of the views, or of the training picture if there are none. */
  readonly readings: readonly Reading[];
  /** Below which pictures count as copies (`copyLimit`), of the whole picture and of its subject. */
  readonly copyLimits: { readonly whole: number | null; readonly masked: number | null };
}

export interface Figures {
  readonly pictures: number;
  /** Mean cosine of identities of pictures of the base prompt and of the views (or the training picture): concept fidelity. */
  readonly fidelity: number | null;
  /** The same for all prompts that leave the subject's looks as they are. */
  readonly fidelityAll: number | null;
  /** Share of those whose nearest identity, among all of the gallery, is the subject's. */
  readonly identified: number | null;
  /** Mean cosine of picture and prompt. */
  readonly textSimilarity: number | null;
  /** Share of requested attributes that are seen. */
  readonly alignment: number | null;
  /** Mean probability of the training background where another one was asked for. */
  readonly leakBackground: number | null;
  /** Mean probability of the training position where another one was asked for. */
  readonly leakPosition: number | null;
  /** Near-copies of the whole training picture. */
  readonly copies: CopyFigures;
  /** Near-copies of its subject, where it is; null if the training picture has no mask. */
  readonly copiesMasked: CopyFigures | null;
  /** Mean distance (1 − cosine of what they show) between pictures of the same prompt. */
  readonly diversity: number | null;
}

/** Prompts that ask for a scene and leave the subject's looks as they are. */
export const SCENES: ReadonlySet<PromptKind> = new Set<PromptKind>(['base', 'background', 'position', 'size']);

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;

/** Everything that one set of pictures is judged by. */
export interface Evidence {
  readonly pictures: readonly PromptedPicture[];
  /** Of `pictures`, in order. */
  readonly readings: readonly Reading[];
  /** Directions of the prompts of `pictures`, in order. */
  readonly texts: readonly Float32Array[];
  readonly reference: ReadReference;
  /** Identities of the subject, first, and of others; empty: nothing to tell it from. */
  readonly gallery: readonly Float32Array[];
}

function fidelity({ readings, reference }: Evidence, which: readonly number[]): number | null {
  return mean(which.flatMap((i) => reference.readings.map((view) => cosine(readings[i]!.identity, view.identity))));
}

function leak({ pictures, readings, reference }: Evidence, attribute: 'background' | 'position'): number | null {
  const trained = reference.scene[attribute];
  const shares = pictures.flatMap(({ asked }, i) => {
    const wanted = asked[attribute];
    return wanted === undefined || wanted === trained ? [] : [probabilityOf(readings[i]!, attribute, trained)];
  });
  return mean(shares);
}

function alignment({ pictures, readings }: Evidence): number | null {
  const found = pictures.flatMap(({ asked }, i) =>
    (Object.keys(asked) as Attribute[]).map((name) => (seen(readings[i]!, name) === asked[name] ? 1 : 0)),
  );
  return mean(found);
}

function diversity({ pictures, readings }: Evidence): number | null {
  const distances = readings.flatMap((one, i) =>
    readings.flatMap((other, j) =>
      j > i && pictures[i]!.text === pictures[j]!.text ? [1 - cosine(one.pair, other.pair)] : [],
    ),
  );
  return mean(distances);
}

/** All figures of a set of pictures. */
export function figuresOf(evidence: Evidence): Figures {
  const { pictures, readings, texts, reference, gallery } = evidence;
  const indices = pictures.map((_, i) => i);
  const base = indices.filter((i) => pictures[i]!.kind === 'base');
  const scenes = indices.filter((i) => SCENES.has(pictures[i]!.kind));
  const images = pictures.map(({ image }) => image);
  const { training, copyLimits } = reference;
  const own = scenes.map((i) => (nearestIdentity(readings[i]!, gallery) === 0 ? 1 : 0));
  return {
    pictures: pictures.length,
    fidelity: fidelity(evidence, base),
    fidelityAll: fidelity(evidence, scenes),
    identified: gallery.length < 2 ? null : mean(own),
    textSimilarity: mean(indices.map((i) => cosine(readings[i]!.pair, texts[i]!))),
    alignment: alignment(evidence),
    leakBackground: leak(evidence, 'background'),
    leakPosition: leak(evidence, 'position'),
    copies: copyFigures(images, training, copyLimits.whole, false),
    copiesMasked: training.alpha === undefined ? null : copyFigures(images, training, copyLimits.masked, true),
    diversity: diversity(evidence),
  };
}
