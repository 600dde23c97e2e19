import { describe, expect, it } from 'vitest';
import type { StudyPoint } from '../../lib/study/results.js';
import { judgedSteps, STUDY_SETTINGS, studyUnits } from '../../lib/study/settings.js';
import { alignmentAt, bootstrapMean, matchedFidelity, spearman } from '../../lib/study/statistics.js';
import { concept, developmentConcepts } from '../../lib/world/concepts.js';

const point = (fidelity: number, alignment: number): StudyPoint => ({
  ...{ step: 0, copyScore: 0, fidelity, alignment },
  ...{ leakBackground: 0, leakPosition: 0, copies: 0 },
});

describe('the study', () => {
  it('is as large as it promises, on concepts of tables of both kinds', () => {
    const { concepts, seeds, variants, ranks } = STUDY_SETTINGS;
    expect(concepts.length).toBeGreaterThanOrEqual(6);
    expect({ seeds, variants, ranks: ranks.length }).toEqual({
      ...{ seeds: 2, variants: ['lora', 'vanilla', 'ortho', 'tlora'], ranks: 2 },
    });
    expect(concepts.filter((index) => developmentConcepts.includes(index))).toEqual([]);
    expect(new Set(concepts.map((index) => concept(index).noun)).size).toBe(2);
    expect(studyUnits(STUDY_SETTINGS)).toHaveLength(6 * 2 * 4 * 2);
    expect(judgedSteps({ steps: 400, checkpoints: 4 })).toEqual([100, 200, 300, 400]);
  });
});

describe('alignmentAt', () => {
  const run = [point(0.2, 0.9), point(0.6, 0.7), point(0.5, 0.6), point(0.9, 0.3)];

  it('interpolates where the run first gets there', () => {
    expect(alignmentAt(run, 0.4)).toBeCloseTo(0.8, 12);
    expect(alignmentAt(run, 0.6)).toBeCloseTo(0.7, 12);
    expect(alignmentAt(run, 0.7)).toBeCloseTo(0.45, 12);
  });

  it('knows the start, and runs that never get there', () => {
    expect(alignmentAt(run, 0.1)).toBe(0.9);
    expect(alignmentAt(run, 0.95)).toBeNull();
  });
});

describe('matchedFidelity', () => {
  it('is 5 % below the best, on either side of 0', () => {
    expect(matchedFidelity(0.8)).toBeCloseTo(0.76, 12);
    expect(matchedFidelity(0)).toBe(0);
    expect(matchedFidelity(-0.2)).toBeCloseTo(-0.21, 12);
  });
});

describe('spearman', () => {
  it('knows orders, reversals, ties and nothing', () => {
    expect(spearman([1, 2, 3, 10], [2, 4, 8, 9])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 3], [0.3, 0.2, -5])).toBeCloseTo(-1, 12);
    expect(spearman([1, 1, 2, 2], [1, 2, 1, 2])).toBeCloseTo(0, 12);
    expect(spearman([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])).toBeCloseTo(0.8, 12);
    expect(spearman([1, 2], [3, 3])).toBeNaN();
  });
});

describe('bootstrapMean', () => {
  const of = (groups: readonly (readonly number[])[]) =>
    groups.flatMap((group, concept) => group.map((difference, seed) => ({ concept, seed, difference })));

  it('is the mean of concepts, whatever their number of seeds', () => {
    expect(bootstrapMean(of([[1], [2, 4]])).mean).toBeCloseTo(2, 12);
  });

  it('has no width where all are equal, and the same bits every time', () => {
    const same = bootstrapMean(of([[0.5, 0.5], [0.5]]));
    expect(same).toEqual({ mean: 0.5, low: 0.5, high: 0.5 });
    const groups = of([
      [0.1, 0.3],
      [-0.2, 0],
      [0.4, 0.1],
    ]);
    expect(bootstrapMean(groups)).toEqual(bootstrapMean(groups));
  });

  it('is as wide as the spread of concepts says', () => {
    // 40 concepts of ±1: the mean has a standard error of 1/√40, so that the interval is ±1.96 of that.
    const groups = of(Array.from({ length: 40 }, (_, i) => [i % 2 === 0 ? 1 : -1]));
    const { low, high } = bootstrapMean(groups);
    expect(high - low).toBeGreaterThan((2 * 1.96 * 0.9) / Math.sqrt(40));
    expect(high - low).toBeLessThan((2 * 1.96 * 1.1) / Math.sqrt(40));
  });
});
