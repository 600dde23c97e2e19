import { describe, expect, it } from 'vitest';
import { attributeValues } from '../../lib/world/attributes.js';
import { caption } from '../../lib/world/caption.js';
import { captionWords, rareTokens, vocabulary } from '../../lib/world/lexicon.js';
import { readCaption } from '../../lib/world/readCaption.js';
import { sampleRecord } from '../../lib/world/sample.js';

const seeds = Array.from({ length: 2500 }, (_, seed) => seed);

describe('vocabulary', () => {
  it('is about 200 words, each once, sorted, in lower case', () => {
    expect(vocabulary.length).toBeGreaterThan(190);
    expect(vocabulary.length).toBeLessThan(230);
    expect([...new Set(vocabulary)].sort()).toEqual(vocabulary);
    expect(vocabulary.filter((word) => !/^([a-z]+|v\d+|[,.])$/.test(word))).toEqual([]);
  });

  it('is what captions use, all of it', () => {
    const used = new Set(seeds.flatMap((seed) => captionWords(caption(sampleRecord(seed), seed, { rare: 0.2 }))));
    expect([...used].sort()).toEqual(vocabulary);
  });
});

describe('caption', () => {
  it('states only what is true', () => {
    for (const seed of seeds) {
      const record = sampleRecord(seed);
      expect(record).toMatchObject(readCaption(caption(record, seed)));
    }
  });

  it('states everything but the plain style and no accessory if nothing may be dropped', () => {
    for (const seed of seeds.slice(0, 1000)) {
      const record = sampleRecord(seed);
      const { seed: _, accessory, ...stated } = record;
      const read = readCaption(caption(record, seed, { drop: 0 }));
      expect(read).toEqual(accessory === 'none' ? stated : { ...stated, accessory });
    }
  });

  it('drops attributes about as often as asked', () => {
    const reads = seeds.map((seed) => readCaption(caption(sampleRecord(seed), seed, { drop: 0.2 })));
    const share = (name: keyof (typeof reads)[number]): number =>
      reads.filter((read) => read[name] === undefined).length / seeds.length;
    expect(share('position')).toBeCloseTo(0.3, 1);
    expect(share('background')).toBeCloseTo(0.12, 1);
    expect(share('superClass')).toBe(0);
  });

  it('is the same for the same seed and differs between seeds', () => {
    const record = sampleRecord(1);
    const captions = seeds.slice(0, 200).map((seed) => caption(record, seed));
    expect(seeds.slice(0, 200).map((seed) => caption(record, seed))).toEqual(captions);
    expect(new Set(captions).size).toBeGreaterThan(150);
  });

  it('sprinkles tokens without meaning over half a percent', () => {
    const rare = new Set(rareTokens);
    const many = Array.from({ length: 12_000 }, (_, seed) => captionWords(caption(sampleRecord(seed), seed)));
    const share = many.filter((words) => words.some((word) => rare.has(word))).length / many.length;
    expect(Math.abs(share - 0.005)).toBeLessThan(0.0025);
    expect(rareTokens).toHaveLength(33);
  });

  it('uses "an" before vowels only', () => {
    for (const seed of seeds) expect(caption(sampleRecord(seed), seed)).not.toMatch(/\ba [aeiou]|\ban [^aeiou]/);
  });
});

describe('readCaption', () => {
  it('knows every value by name', () => {
    for (const shape of attributeValues.shape) expect(readCaption(`A ${shape}.`).shape).toBe(shape);
    for (const colour of attributeValues.colour) expect(readCaption(`a ${colour} thing`).colour).toBe(colour);
    expect(readCaption('something else entirely')).toEqual({});
  });
});
