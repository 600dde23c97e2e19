// Whether the evaluators can be trusted: measured on renders that they never learned from.
import { uniformDraws } from '../random/hash.js';
import { deriveSeed } from '../random/philox.js';
import type { Attribute } from '../world/attributes.js';
import { concept, evaluationConcepts } from '../world/concepts.js';
import { promptSuite } from '../world/prompts.js';
import { sprite } from '../world/sprites.js';
import { oraclePictures } from './conceptReference.js';
import type { Distortion } from './distort.js';
import { SCENES } from './figures.js';
import { conceptDirection, distractorDirections, nearestIdentity } from './identities.js';
import { classLesson, type Lesson, recolouredLesson, spriteLesson, UNSEEN_SPRITES } from './lessons.js';
import { ATTRIBUTES } from './network.js';
import { cosine, type Reader, type Reading, seen } from './reader.js';

/** Least shares of right answers; of attributes, for each one. */
export const GATES = { fresh: 0.97, distorted: 0.95, identity: 0.95 } as const;

export interface GateSizes {
  /** Pictures of shape classes, and as many of sprites. */
  readonly pictures: number;
  /** Of the 25 of the tables. */
  readonly concepts: number;
  /** Views of each concept that stand for it. */
  readonly references: number;
  readonly distractors: number;
}

export const GATE_SIZES: GateSizes = { pictures: 1000, concepts: 25, references: 16, distractors: 200 };

/** Shares of right answers. */
export interface GateFigures {
  /** On pictures as rendered; colours of shape classes only. */
  readonly fresh: Readonly<Record<Attribute, number>>;
  /** On the same pictures, half of them noised (σ 0.1 in −1…1), half blurred (3×3 binomial mean). */
  readonly distorted: Readonly<Record<Attribute, number>>;
  /** Sprites whose main paint is the named colour that is seen. They have two more colours, so no gate is set. */
  readonly spriteColour: number;
  /** Perfect pictures of concepts, for prompts for scenes, whose nearest mean direction of all concepts and distractors is their own. */
  readonly identity: number;
  /** The same in any style, with any accessory. */
  readonly identityStyled: number;
  /** Class pictures whose own caption is the nearest of 16. */
  readonly pair: number;
}

/** Never a seed of training. */
const SEED = 2 ** 50;
const NONE: Distortion = { noise: 0, blur: 0 };
const NOISED: Distortion = { noise: 0.1, blur: 0 };
const BLURRED: Distortion = { noise: 0, blur: 1 };

/** Unseen pictures: classes, and sprites, half of them in named colours. */
function unseen(count: number, distortion: (index: number) => Distortion): Lesson[] {
  return Array.from({ length: 2 * count }, (_, i) => {
    const how = distortion(i);
    if (i < count) return classLesson(SEED, i, how);
    if (i % 2 === 0) return recolouredLesson(SEED + 1, i, how);
    return spriteLesson(sprite(UNSEEN_SPRITES + 2 ** 30 + Math.floor(i / 2)), deriveSeed(SEED + 2, i), how);
  });
}

/** Share of right answers for each attribute, among the pictures that have it. */
export function attributeShares(
  readings: readonly Reading[],
  truths: readonly Lesson['attributes'][],
): Record<Attribute, number> {
  const shares = ATTRIBUTES.map((attribute) => {
    const known = readings.filter((_, i) => truths[i]![attribute] !== undefined);
    const values = truths.flatMap((truth) => truth[attribute] ?? []);
    const right = known.filter((reading, i) => seen(reading, attribute) === values[i]).length;
    return [attribute, right / known.length] as const;
  });
  return Object.fromEntries(shares) as Record<Attribute, number>;
}

/** Shares of pictures of concepts whose nearest direction is their own: in the scenes of prompts, and in any style and accessory. */
async function identityShares(reader: Reader, sizes: GateSizes): Promise<{ scenes: number; styled: number }> {
  const { concepts, references, distractors } = sizes;
  const indices = evaluationConcepts.slice(0, concepts);
  const gallery: Float32Array[] = [];
  for (const index of indices) gallery.push(await conceptDirection(reader, index, references));
  gallery.push(...(await distractorDirections(reader, distractors, 8)));
  const prompts = promptSuite().filter(({ kind }) => SCENES.has(kind));
  const right = { scenes: 0, styled: 0 };
  const count = async (own: number, pictures: readonly Float32Array[]): Promise<number> =>
    (await reader.read(pictures)).filter((one) => nearestIdentity(one, gallery) === own).length;
  for (const [own, index] of indices.entries()) {
    const scenes = oraclePictures(index, prompts, 1).map(({ image }) => image);
    const styled = scenes.map((_, i) => spriteLesson(concept(index), deriveSeed(SEED + 4 + index, i), NONE).image);
    right.scenes += await count(own, scenes);
    right.styled += await count(own, styled);
  }
  const all = concepts * prompts.length;
  return { scenes: right.scenes / all, styled: right.styled / all };
}

async function pairShare(reader: Reader, lessons: readonly Lesson[], readings: readonly Reading[]): Promise<number> {
  const texts = await reader.readTexts(lessons.map(({ words }) => words.join(' ')));
  const draw = uniformDraws(SEED, 0);
  const right = readings.filter((reading, own) => {
    const others = Array.from({ length: 15 }, () => texts[Math.floor(draw() * texts.length)]!);
    const mine = cosine(reading.pair, texts[own]!);
    return others.every((text) => text === texts[own] || cosine(reading.pair, text) < mine);
  });
  return right.length / readings.length;
}

/** Measures all figures. */
export async function measureGates(reader: Reader, sizes: GateSizes = GATE_SIZES): Promise<GateFigures> {
  const plain = unseen(sizes.pictures, () => NONE);
  const truths = plain.map(({ attributes: { colour, ...others } }) =>
    others.shape === undefined || colour === undefined ? others : { ...others, colour },
  );
  const readings = await reader.read(plain.map(({ image }) => image));
  const changed = unseen(sizes.pictures, (i) => (i % 4 < 2 ? NOISED : BLURRED));
  const again = await reader.read(changed.map(({ image }) => image));
  const classes = sizes.pictures;
  const { scenes, styled } = await identityShares(reader, sizes);
  return {
    fresh: attributeShares(readings, truths),
    distorted: attributeShares(again, truths),
    spriteColour: attributeShares(
      readings.slice(classes),
      plain.slice(classes).map(({ attributes }) => attributes),
    ).colour,
    identity: scenes,
    identityStyled: styled,
    pair: await pairShare(reader, plain.slice(0, classes), readings.slice(0, classes)),
  };
}

/** What falls short, in words; empty if every gate is reached. */
export function missedGates({ fresh, distorted, identity }: GateFigures): string[] {
  const missed = (kind: 'fresh' | 'distorted', shares: GateFigures['fresh']): string[] =>
    ATTRIBUTES.flatMap((attribute) =>
      shares[attribute] >= GATES[kind]
        ? []
        : [`${attribute}, ${kind}: expected at least ${GATES[kind]}, got ${shares[attribute].toFixed(3)}`],
    );
  const named =
    identity >= GATES.identity ? [] : [`identity: expected at least ${GATES.identity}, got ${identity.toFixed(3)}`];
  return [...missed('fresh', fresh), ...missed('distorted', distorted), ...named];
}
