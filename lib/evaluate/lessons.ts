// What the evaluators learn from: renders with labels, each a pure function of a seed and its index.
import { pixelsToSigned } from '../io/image.js';
import { type Draw, pick, uniformDraws } from '../random/hash.js';
import { deriveSeed } from '../random/philox.js';
import {
  type Attribute,
  type AttributeRecord,
  type Attributes,
  attributeValues,
  colours,
} from '../world/attributes.js';
import { SIDE } from '../world/canvas.js';
import { caption } from '../world/caption.js';
import { captionWords, shapeNouns, superClassNouns } from '../world/lexicon.js';
import { newRender, type Render, render, renderSprite } from '../world/render.js';
import { sampleRecord } from '../world/sample.js';
import { type Sprite, sprite } from '../world/sprites.js';
import { type Distortion, distort } from './distort.js';
import { COVER_SIDE } from './network.js';

/** A picture with all that is true of it. */
export interface Lesson {
  /** [64, 64, 3] in −1…1 */
  readonly image: Float32Array;
  /** How much of each of 8×8 cells the subject covers, 0…1. */
  readonly cover: Float32Array;
  readonly attributes: Attributes;
  /** Words of a caption. */
  readonly words: readonly string[];
}

const stream = { distortion: 0x5001, sprite: 0x5002 } as const;
const shared: Render = newRender();

/** Half of the pictures as rendered, a quarter noised, a quarter blurred; one in six of the last two is both. */
export function drawDistortion(draw: Draw): Distortion {
  const kind = draw();
  const [noise, blur] = [0.15 * draw(), draw()];
  return {
    noise: kind >= 0.5 && kind < 0.79 ? noise : 0,
    blur: kind >= 0.71 ? blur : 0,
  };
}

function developed(picture: Render, seed: number, distortion: Distortion | 'drawn'): Float32Array {
  const image = pixelsToSigned(picture.pixels);
  const how = distortion === 'drawn' ? drawDistortion(uniformDraws(seed, stream.distortion)) : distortion;
  distort(image, how, seed);
  return image;
}

/** Means of the mask over cells of 8×8 pixels. */
function coverOf({ alpha }: Render): Float32Array {
  const cover = new Float32Array(COVER_SIDE * COVER_SIDE);
  const cell = SIDE / COVER_SIDE;
  for (let i = 0; i < alpha.length; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const at = Math.floor(y / cell) * COVER_SIDE + Math.floor(x / cell);
    cover[at] = cover[at]! + alpha[i]! / (255 * cell * cell);
  }
  return cover;
}

/** A picture of a shape class. */
export function classLesson(seed: number, index: number, distortion: Distortion | 'drawn' = 'drawn'): Lesson {
  const own = deriveSeed(seed, index);
  const record = sampleRecord(own);
  return {
    image: developed(render(record, shared), own, distortion),
    cover: coverOf(shared),
    attributes: stated(record),
    words: captionWords(caption(record, own)),
  };
}

function stated(record: Attributes): Attributes {
  return Object.fromEntries(
    (Object.keys(attributeValues) as Attribute[]).flatMap((name) =>
      record[name] === undefined ? [] : [[name, record[name]]],
    ),
  );
}

const NOUNS: ReadonlySet<string> = new Set(Object.values(shapeNouns).flat());

/** Words of a caption of a sprite: no shape class, but the noun of its super-class. */
function spriteWords(one: Sprite, record: AttributeRecord, seed: number): string[] {
  const noun = pick(uniformDraws(seed, stream.sprite + 1), superClassNouns[one.superClass]);
  const words = captionWords(caption({ ...record, superClass: one.superClass, shape: one.nearest }, seed));
  return words.map((word) => (NOUNS.has(word) ? noun : word));
}

/** A sprite in a scene of its own. @param own the scene's seed @param recoloured in one of the named colours */
function spriteInScene(one: Sprite, own: number, recoloured: boolean, distortion: Distortion | 'drawn'): Lesson {
  const record = sampleRecord(own);
  const { background, position, size, style, accessory, seed } = record;
  const colour = pick(uniformDraws(own, stream.sprite), colours);
  const scene = { background, position, size, style, accessory, seed };
  const picture = renderSprite(one, recoloured ? { ...scene, colour } : scene, shared);
  const { superClass } = one;
  const known = { superClass, background, position, size, style, accessory };
  return {
    image: developed(picture, own, distortion),
    cover: coverOf(picture),
    attributes: recoloured ? { ...known, colour } : known,
    words: recoloured ? spriteWords(one, { ...record, colour }, own) : [],
  };
}

/** Sprites from this seed up are never learned from. */
export const UNSEEN_SPRITES: number = 2 ** 40;
/** Sprites in named colours have seeds from here up. */
const RECOLOURED_SPRITES = 2 ** 30;

/** A picture of a sprite in a named colour; every picture is of another sprite. */
export function recolouredLesson(seed: number, index: number, distortion: Distortion | 'drawn' = 'drawn'): Lesson {
  const own = deriveSeed(seed, index);
  return spriteInScene(sprite(RECOLOURED_SPRITES + (own % 2 ** 31)), own, true, distortion);
}

/** Two pictures of one sprite, in scenes that have nothing to do with each other. Every index is another sprite. */
export function identityLessons(
  seed: number,
  index: number,
  distortion: Distortion | 'drawn' = 'drawn',
): [Lesson, Lesson] {
  const one = sprite(index);
  const view = (which: number): Lesson => spriteInScene(one, deriveSeed(seed, 2 * index + which), false, distortion);
  return [view(0), view(1)];
}

/** A picture of a given sprite in a scene of its own. */
export function spriteLesson(one: Sprite, own: number, distortion: Distortion | 'drawn' = 'drawn'): Lesson {
  return spriteInScene(one, own, false, distortion);
}

/** Numbers of the values of one attribute of lessons that all have it. */
export function labelsOf(lessons: readonly Lesson[], attribute: Attribute): Int32Array {
  const values: readonly string[] = attributeValues[attribute];
  return Int32Array.from(lessons, ({ attributes }) => values.indexOf(attributes[attribute]!));
}

/** Arrays of one length, one after the other: pictures as [n, 64, 64, 3]. */
export function stacked(arrays: readonly Float32Array[]): Float32Array {
  const size = arrays[0]?.length ?? 0;
  const all = new Float32Array(arrays.length * size);
  arrays.forEach((array, i) => {
    all.set(array, i * size);
  });
  return all;
}
