import { describe, expect, it } from 'vitest';
import { distort } from '../../lib/evaluate/distort.js';
import {
  classLesson,
  drawDistortion,
  identityLessons,
  type Lesson,
  labelsOf,
  recolouredLesson,
  stacked,
} from '../../lib/evaluate/lessons.js';
import { pixelsToSigned } from '../../lib/io/image.js';
import { uniformDraws } from '../../lib/random/hash.js';
import { deriveSeed } from '../../lib/random/philox.js';
import { attributeValues } from '../../lib/world/attributes.js';
import { shapeNouns, superClassNouns } from '../../lib/world/lexicon.js';
import { readCaption } from '../../lib/world/readCaption.js';
import { render } from '../../lib/world/render.js';
import { sampleRecord } from '../../lib/world/sample.js';

const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
const same = (a: Lesson, b: Lesson): boolean =>
  bytes(a.image).equals(bytes(b.image)) && JSON.stringify(a.attributes) === JSON.stringify(b.attributes);

const NONE = { noise: 0, blur: 0 };
const SIZE = 64 * 64 * 3;

describe('lessons', () => {
  it('are pure functions of seed and index', () => {
    for (const lesson of [classLesson, recolouredLesson]) {
      expect(same(lesson(3, 8), lesson(3, 8))).toBe(true);
      expect(same(lesson(3, 8), lesson(3, 9))).toBe(false);
      expect(same(lesson(3, 8), lesson(4, 8))).toBe(false);
    }
    expect(same(identityLessons(3, 8)[1], identityLessons(3, 8)[1])).toBe(true);
    expect(same(identityLessons(3, 8)[0], identityLessons(3, 8)[1])).toBe(false);
  });

  it('of classes show and say what their labels state', () => {
    for (let index = 0; index < 16; index++) {
      const record = sampleRecord(deriveSeed(3, index));
      const { image, attributes, words } = classLesson(3, index, NONE);
      expect(Buffer.compare(bytes(image), bytes(pixelsToSigned(render(record).pixels)))).toBe(0);
      expect(record).toMatchObject(attributes);
      expect(Object.keys(attributes).sort()).toEqual(Object.keys(attributeValues).sort());
      expect(record).toMatchObject(readCaption(words.join(' ')));
    }
  });

  it('know where the subject is', () => {
    const { cover } = classLesson(3, 5, NONE);
    const { alpha } = render(sampleRecord(deriveSeed(3, 5)));
    const total = alpha.reduce((sum, value) => sum + value / 255, 0);
    expect(cover.reduce((sum, value) => sum + 64 * value, 0)).toBeCloseTo(total, 2);
    expect(Math.max(...cover)).toBeLessThanOrEqual(1.000001);
    expect(cover[8 * 3 + 4]).toBeCloseTo(
      [...alpha].reduce((sum, value, i) => sum + ((i % 64) >> 3 === 4 && i >> 9 === 3 ? value / 255 / 64 : 0), 0),
      5,
    );
  });

  it('of sprites have no shape, and a named colour only if they are drawn in it', () => {
    const nouns = Object.values(shapeNouns).flat();
    for (let index = 0; index < 16; index++) {
      const { attributes, words } = recolouredLesson(3, index, NONE);
      expect(attributes.shape).toBeUndefined();
      expect(attributes.colour).toBeDefined();
      expect(words.filter((word) => nouns.includes(word))).toEqual([]);
      expect(words.some((word) => superClassNouns[attributes.superClass!].includes(word))).toBe(true);
      expect(identityLessons(3, index)[0].attributes).not.toHaveProperty('colour');
    }
  });

  it('become inputs: pictures in a row, labels by number', () => {
    const lessons = [0, 1, 2].map((index) => classLesson(3, index));
    const all = stacked(lessons.map(({ image }) => image));
    expect(all.length).toBe(3 * SIZE);
    expect(all.slice(SIZE, 2 * SIZE)).toEqual(lessons[1]!.image);
    const labels = [...labelsOf(lessons, 'shape')];
    expect(labels.map((label) => attributeValues.shape[label])).toEqual(lessons.map((l) => l.attributes.shape));
  });
});

describe('distortions', () => {
  const changed = (how: { noise: number; blur: number }, seed = 1): Float32Array => {
    const { image } = classLesson(3, 0, NONE);
    distort(image, how, seed);
    return image;
  };
  const { image: clean } = classLesson(3, 0, NONE);

  it('leave a picture alone at 0', () => {
    expect(changed(NONE)).toEqual(clean);
  });

  it('add noise of the wanted strength, the same for a seed', () => {
    const noised = changed({ noise: 0.1, blur: 0 });
    const differences = noised.map((value, i) => value - clean[i]!);
    const meanOf = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(meanOf(differences)).toBeCloseTo(0, 2);
    expect(Math.sqrt(meanOf(differences.map((d) => d * d)))).toBeCloseTo(0.1, 2);
    expect(changed({ noise: 0.1, blur: 0 })).toEqual(noised);
    expect(changed({ noise: 0.1, blur: 0 }, 2)).not.toEqual(noised);
  });

  it('blur by the binomial mean of neighbours', () => {
    const dot = new Float32Array(SIZE);
    dot[(10 * 64 + 20) * 3 + 1] = 1;
    distort(dot, { noise: 0, blur: 1 }, 0);
    const at = (x: number, y: number): number => dot[(y * 64 + x) * 3 + 1]!;
    expect([at(20, 10), at(19, 10), at(20, 11), at(21, 9), at(22, 10)]).toEqual([1 / 4, 1 / 8, 1 / 8, 1 / 16, 0]);
    const even = new Float32Array(SIZE).fill(0.5);
    distort(even, { noise: 0, blur: 1 }, 0);
    expect(even).toEqual(new Float32Array(SIZE).fill(0.5));
  });

  it('leave half of the pictures clean', () => {
    const kinds = Array.from({ length: 1000 }, (_, i) => drawDistortion(uniformDraws(i, 0)));
    const share = (test: (kind: (typeof kinds)[number]) => boolean): number => kinds.filter(test).length / 1000;
    expect(share(({ noise, blur }) => noise === 0 && blur === 0)).toBeCloseTo(0.5, 1);
    expect(share(({ noise, blur }) => noise > 0 && blur > 0)).toBeCloseTo(0.08, 1);
  });
});
