import { describe, expect, it } from 'vitest';
import { type AttributeRecord, attributeValues } from '../../lib/world/attributes.js';
import { heldOutPairs, isHeldOut, pairTables } from '../../lib/world/heldOut.js';
import { sampleRecord } from '../../lib/world/sample.js';

const seeds = Array.from({ length: 1500 }, (_, seed) => seed);
const cells = (first: keyof typeof attributeValues, second: keyof typeof attributeValues): number =>
  attributeValues[first].length * attributeValues[second].length;

describe('heldOutPairs', () => {
  it('are 15 ± 1 % of every table, and of all', () => {
    for (const [first, second] of pairTables) {
      const own = heldOutPairs.filter((pair) => pair.first === first && pair.second === second);
      expect(Math.abs(own.length / cells(first, second) - 0.15)).toBeLessThan(0.012);
    }
    const all = pairTables.reduce((sum, [first, second]) => sum + cells(first, second), 0);
    expect(Math.abs(heldOutPairs.length / all - 0.15)).toBeLessThan(0.01);
  });

  it('leave every value with most of its partners', () => {
    for (const [first, second] of pairTables) {
      for (const value of attributeValues[first]) {
        const lost = heldOutPairs.filter(
          (pair) => pair.first === first && pair.second === second && pair.firstValue === value,
        );
        expect(lost.length / attributeValues[second].length).toBeLessThanOrEqual(0.4);
      }
      for (const value of attributeValues[second]) {
        const lost = heldOutPairs.filter(
          (pair) => pair.first === first && pair.second === second && pair.secondValue === value,
        );
        expect(lost.length / attributeValues[first].length).toBeLessThanOrEqual(0.25);
      }
    }
    expect(heldOutPairs.filter(({ secondValue }) => ['none', 'flat'].includes(secondValue))).toEqual([]);
  });
});

describe('sampleRecord', () => {
  it('keeps held-out pairs out, or in', () => {
    for (const seed of seeds) {
      expect(isHeldOut(sampleRecord(seed, { heldOut: false }))).toBe(false);
      expect(isHeldOut(sampleRecord(seed, { heldOut: true }))).toBe(true);
    }
  });

  it('is the same for the same seed, reaches every value, and keeps what is given', () => {
    const records = seeds.map((seed) => sampleRecord(seed, { heldOut: false }));
    expect(seeds.map((seed) => sampleRecord(seed, { heldOut: false }))).toEqual(records);
    for (const [name, values] of Object.entries(attributeValues))
      expect(new Set(records.map((record) => record[name as keyof AttributeRecord]))).toEqual(new Set(values));
    for (const seed of seeds.slice(0, 100))
      expect(sampleRecord(seed, { heldOut: true, fixed: { colour: 'teal', superClass: 'object' } })).toMatchObject({
        colour: 'teal',
        superClass: 'object',
      });
  });

  it('says when nothing is left to draw', () => {
    const pair = heldOutPairs[0]!;
    const fixed = { [pair.first]: pair.firstValue, [pair.second]: pair.secondValue };
    expect(() => sampleRecord(1, { heldOut: false, fixed })).toThrow('fixed');
  });
});
