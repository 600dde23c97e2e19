import { describe, expect, it } from 'vitest';
import { conceptOf, conceptReference, oraclePictures } from '../../lib/evaluate/conceptReference.js';
import { copyFigures, copyLimit, percentile, pictureDistance } from '../../lib/evaluate/copies.js';
import { type EvaluateOptions, evaluatePictures } from '../../lib/evaluate/evaluatePictures.js';
import { evaluationTable } from '../../lib/evaluate/evaluationTable.js';
import type { PromptedPicture } from '../../lib/evaluate/figures.js';
import { attributeShares, missedGates } from '../../lib/evaluate/gates.js';
import { galleryOf, nearestIdentity } from '../../lib/evaluate/identities.js';
import { ATTRIBUTES } from '../../lib/evaluate/network.js';
import type { Reader, Reading } from '../../lib/evaluate/reader.js';
import { type Attribute, type Attributes, attributeValues } from '../../lib/world/attributes.js';
import { promptSuite } from '../../lib/world/prompts.js';

const SIZE = 64 * 64 * 3;
const flat = (value: number): Float32Array => new Float32Array(SIZE).fill(value);

/** A reading that is sure of some attributes, and of the first value of all others. */
function reading(sure: Attributes, identity = [1, 0], pair = [1, 0]): Reading {
  const probabilities = Object.fromEntries(
    ATTRIBUTES.map((name) => {
      const values: readonly string[] = attributeValues[name];
      const at = Math.max(0, values.indexOf(sure[name] ?? values[0]!));
      return [name, Float32Array.from(values, (_, i) => (i === at ? 0.9 : 0.1 / (values.length - 1)))];
    }),
  ) as Record<Attribute, Float32Array>;
  return { probabilities, identity: Float32Array.from(identity), pair: Float32Array.from(pair) };
}

/** A reader that knows pictures by their first value. */
function reader(known: Readonly<Record<number, Reading>>): Reader {
  return {
    read: async (pictures) => pictures.map((picture) => known[picture[0]!] ?? reading({})),
    readTexts: async (texts) => texts.map((text) => Float32Array.from(text.includes('snow') ? [1, 0] : [0.6, 0.8])),
    dispose: () => {},
  };
}

describe('near-copies', () => {
  it('are measured in levels, over the mask if there is one', () => {
    expect(pictureDistance(flat(0), flat(0))).toBe(0);
    expect(pictureDistance(flat(0), flat(1))).toBeCloseTo(127.5, 6);
    const half = flat(0);
    half.fill(1, 0, SIZE / 2);
    expect(pictureDistance(half, flat(0))).toBeCloseTo(127.5 / Math.SQRT2, 6);
    const mask = new Uint8Array(64 * 64);
    mask.fill(255, 0, 64 * 32);
    expect(pictureDistance(half, flat(0), mask)).toBeCloseTo(127.5, 6);
    expect(
      pictureDistance(
        half,
        flat(0),
        mask.map((value) => 255 - value),
      ),
    ).toBe(0);
  });

  it('are those nearer than all but the nearest hundredth of views', () => {
    expect(percentile([5, 1, 4, 2, 3], 0)).toBe(1);
    expect(
      percentile(
        Array.from({ length: 200 }, (_, i) => 199 - i),
        0.01,
      ),
    ).toBe(2);
    const views = [0, 0.2, 0.5].map((value) => ({ image: flat(value) }));
    const figures = copyFigures([flat(0.1), flat(0.3)], { image: flat(0) }, copyLimit(views, false), false);
    expect(figures.nearest).toBeCloseTo(12.75, 4);
    expect(figures.limit).toBeCloseTo(25.5, 4);
    expect(figures.share).toBe(0.5);
    expect(copyFigures([flat(0.1)], { image: flat(0) }, copyLimit(views.slice(2), false), false)).toMatchObject({
      share: null,
      limit: null,
    });
  });
});

describe('evaluatePictures', () => {
  const training = { image: flat(-1), alpha: new Uint8Array(64 * 64).fill(255) };
  const prompted = (value: number, kind: PromptedPicture['kind'], asked: Attributes): PromptedPicture => ({
    image: flat(value),
    kind,
    text: `a creature ${asked.background ?? ''}`,
    asked,
  });
  const known = {
    [-1]: reading({ background: 'sea', position: 'top' }, [1, 0]),
    0.5: reading({ background: 'snow', position: 'top' }, [0.8, 0.6], [1, 0]),
    0.25: reading({ background: 'sea', position: 'left' }, [0, 1], [0, 1]),
  };
  const options: EvaluateOptions = {
    evaluators: reader(known),
    reference: { training, scene: { background: 'sea', position: 'top' }, views: [training] },
    pictures: [
      prompted(0.5, 'background', { background: 'snow' }),
      prompted(0.25, 'background', { background: 'snow' }),
      prompted(0.5, 'base', {}),
      prompted(0.25, 'position', { position: 'left' }),
    ],
    others: [Float32Array.from([0, 1])],
  };

  it('gives every figure of the pictures', async () => {
    const { pictures } = await evaluatePictures(options);
    expect(pictures.pictures).toBe(4);
    expect(pictures.fidelity).toBeCloseTo(0.8, 6);
    expect(pictures.fidelityAll).toBeCloseTo(0.4, 6);
    expect(pictures.identified).toBe(0.5);
    expect(pictures.alignment).toBeCloseTo(2 / 3, 6);
    expect(pictures.leakBackground).toBeCloseTo((0.1 / 9 + 0.9) / 2, 6);
    expect(pictures.leakPosition).toBeCloseTo(0.1 / 8, 6);
    expect(pictures.textSimilarity).toBeCloseTo((1 + 0 + 0.6 + 0.8) / 4, 6);
    expect(pictures.diversity).toBeCloseTo(1, 6);
    expect(pictures.copiesMasked).toMatchObject({ share: null });
  });

  it('gives the rows of comparison, and the leak beyond the floor', async () => {
    const floor = options.pictures.map((picture) => ({ ...picture, image: flat(0.5) }));
    const { pasted, leak, oracle } = await evaluatePictures({ ...options, floor });
    expect(pasted.fidelity).toBeCloseTo(1, 6);
    expect(pasted.alignment).toBe(0);
    expect(pasted.copies.nearest).toBe(0);
    expect(pasted.leakBackground).toBeCloseTo(0.9, 6);
    expect(leak?.background).toBeCloseTo((0.1 / 9 + 0.9) / 2 - 0.1 / 9, 6);
    expect(oracle).toBeNull();
    expect((await evaluatePictures(options)).leak).toBeNull();
  });

  it('refuses no pictures, and pictures of another size', async () => {
    await expect(evaluatePictures({ ...options, pictures: [] })).rejects.toThrow('expected at least one picture');
    const wrong = [{ ...options.pictures[0]!, image: new Float32Array(12) }];
    await expect(evaluatePictures({ ...options, pictures: wrong })).rejects.toThrow('pictures.0: expected 64×64×3');
  });

  it('prints as a table', async () => {
    expect(evaluationTable(await evaluatePictures(options))).toMatchInlineSnapshot(`
      "          fidelity  in scenes  identified  alignment   text  leak bg  leak pos  copies  of subject  diversity
      pictures     0.800      0.400       0.500      0.667  0.600    0.456     0.013       –           –      1.000
      pasted       1.000      1.000       1.000      0.000  0.800    0.900     0.900       –           –      0.000
      "
    `);
  });
});

describe('concepts as references', () => {
  it('are found by their training picture', () => {
    const { training, scene, views } = conceptReference(7, 3);
    expect(conceptOf(training.image)).toBe(7);
    expect(conceptOf(views[0]!.image)).toBeNull();
    expect(views).toHaveLength(3);
    expect(scene.background).toBeTypeOf('string');
  });

  it('have perfect pictures for every prompt', () => {
    const prompts = promptSuite();
    const oracle = oraclePictures(3, prompts.slice(0, 2), 2);
    expect(oracle).toHaveLength(4);
    expect(oracle[2]!.asked).toBe(prompts[1]!.attributes);
    expect(oracle[0]!.text).toMatch(/^a red (creature|object)$/);
    expect(conceptOf(oracle[0]!.image)).toBeNull();
    expect(pictureDistance(oracle[0]!.image, oracle[1]!.image)).toBeGreaterThan(10);
    expect(pictureDistance(oraclePictures(3, prompts.slice(0, 1), 1)[0]!.image, oracle[0]!.image)).toBe(0);
  });

  it('have a gallery of all others', async () => {
    const gallery = await galleryOf(reader({}), 4, { views: 1, distractors: 2 });
    expect(gallery).toHaveLength(29 + 2);
  });
});

describe('gates', () => {
  it('count right answers among the pictures that have an attribute', () => {
    const readings = [
      reading({ colour: 'blue', shape: 'dog' }),
      reading({ colour: 'red' }),
      reading({ colour: 'red' }),
    ];
    const shares = attributeShares(readings, [{ colour: 'blue', shape: 'dog' }, { colour: 'red' }, { colour: 'pink' }]);
    expect(shares.colour).toBeCloseTo(2 / 3, 6);
    expect(shares.shape).toBe(1);
  });

  it('find the nearest identity', () => {
    const gallery = [Float32Array.from([1, 0]), Float32Array.from([0, 1])];
    expect(nearestIdentity({ identity: Float32Array.from([0.6, 0.8]) }, gallery)).toBe(1);
  });

  it('are named when missed', () => {
    const all = (share: number) =>
      Object.fromEntries(ATTRIBUTES.map((name) => [name, share])) as Record<Attribute, number>;
    expect(
      missedGates({
        fresh: all(0.97),
        distorted: all(0.95),
        identity: 0.95,
        identityStyled: 0,
        spriteColour: 0,
        pair: 0,
      }),
    ).toEqual([]);
    const missed = missedGates({
      fresh: { ...all(0.98), shape: 0.96 },
      distorted: all(0.95),
      identity: 0.5,
      spriteColour: 1,
      identityStyled: 1,
      pair: 1,
    });
    expect(missed).toEqual([
      'shape, fresh: expected at least 0.97, got 0.960',
      'identity: expected at least 0.95, got 0.500',
    ]);
  });
});
