// Which one thing a picture shows: mean directions of subjects, and the nearest among them.
import { pixelsToSigned } from '../io/image.js';
import { deriveSeed } from '../random/philox.js';
import { CONCEPTS, conceptReferenceViews } from '../world/concepts.js';
import { sprite } from '../world/sprites.js';
import { spriteLesson, UNSEEN_SPRITES } from './lessons.js';
import { cosine, type Reader, type Reading } from './reader.js';

/** Seed of the scenes of distractors: never one of training. */
const SEED = 2 ** 50 + 3;

/** The mean of directions, of length 1. */
export function meanDirection(readings: readonly Pick<Reading, 'identity'>[]): Float32Array {
  const sum = new Float32Array(readings[0]!.identity.length);
  for (const { identity } of readings) {
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + identity[i]!;
  }
  const length = Math.sqrt(cosine(sum, sum));
  return sum.map((value) => value / length);
}

/** The index of the direction nearest to a reading. */
export function nearestIdentity(reading: Pick<Reading, 'identity'>, gallery: readonly Float32Array[]): number {
  const cosines = gallery.map((direction) => cosine(reading.identity, direction));
  return cosines.indexOf(Math.max(...cosines));
}

/** Mean directions of unseen sprites of the training family, in random scenes, styles and accessories. */
export async function distractorDirections(reader: Reader, count: number, pictures: number): Promise<Float32Array[]> {
  const gallery: Float32Array[] = [];
  for (let i = 0; i < count; i++) {
    const one = sprite(UNSEEN_SPRITES + i);
    const views = Array.from({ length: pictures }, (_, view) =>
      spriteLesson(one, deriveSeed(SEED, i * 64 + view), { noise: 0, blur: 0 }),
    );
    gallery.push(meanDirection(await reader.read(views.map(({ image }) => image))));
  }
  return gallery;
}

/** Mean direction of reference views of a concept. */
export async function conceptDirection(reader: Reader, index: number, views: number): Promise<Float32Array> {
  const pictures = conceptReferenceViews(index, views).map(({ picture }) => pixelsToSigned(picture.pixels));
  return meanDirection(await reader.read(pictures));
}

/** Identities of all concepts but one, and of sprites that nothing was trained on. */
export async function galleryOf(
  reader: Reader,
  without: number | null,
  { views, distractors }: { views: number; distractors: number },
): Promise<Float32Array[]> {
  const gallery: Float32Array[] = [];
  for (let index = 0; index < CONCEPTS; index++) {
    if (index === without) continue;
    gallery.push(await conceptDirection(reader, index, views));
  }
  return [...gallery, ...(await distractorDirections(reader, distractors, 8))];
}
