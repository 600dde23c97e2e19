import { describe, expect, it } from 'vitest';
import { compare, copiesByScore, finalMeans } from '../../lib/study/compare.js';
import type { StudyFigures, StudyResults } from '../../lib/study/results.js';
import { STUDY_SETTINGS } from '../../lib/study/settings.js';
import { resultsOf, studyText, withStudy } from '../../lib/study/studyTable.js';

const figures = (fidelity: number, alignment: number, leak = 0.5): StudyFigures => ({
  ...{ fidelity, alignment, leakBackground: leak, leakPosition: leak, copies: 0 },
});

/** Two concepts: LoRA reaches fidelity 0.8; T-LoRA too in the first, with 0.1 more alignment, and never in the second. */
const results: StudyResults = {
  bounds: [0, 1].map((concept) => ({
    ...{ concept, floor: figures(0, 0.9), oracle: figures(0.9, 0.95), pasted: figures(1, 0.2) },
  })),
  runs: [0, 1].flatMap((concept) => {
    const shared = { concept, seed: 1, rank: 8, seconds: 1 };
    return [
      { ...shared, variant: 'lora' as const, points: [{ step: 100, copyScore: 0.6, ...figures(0.8, 0.5, 0.6) }] },
      {
        ...shared,
        variant: 'tlora' as const,
        points: [{ step: 100, copyScore: 0.1, ...figures(concept === 0 ? 0.8 : 0.4, 0.6, 0.2) }],
      },
    ];
  }),
};

describe('compare', () => {
  const comparison = compare(results, 'tlora', 'lora', 8)!;

  it('compares at 95 % of LoRA’s best fidelity; who never gets there has the alignment of the training picture', () => {
    // At fidelity 0.76: LoRA 0.9 − 0.95·0.4 = 0.52, T-LoRA 0.9 − 0.95·0.3 = 0.615 and 0.2.
    expect(comparison.matched.mean).toBeCloseTo((0.615 + 0.2) / 2 - 0.52, 12);
    expect(comparison.missed).toEqual({ variant: 1, against: 0 });
    expect(comparison.pairs).toBe(2);
  });

  it('compares the last steps', () => {
    expect(comparison.final.alignment.mean).toBeCloseTo(0.1, 12);
    expect(comparison.final.fidelity.mean).toBeCloseTo(-0.2, 12);
    expect(comparison.final.leak.mean).toBeCloseTo(-0.4, 12);
  });

  it('lets LoRA reach its own fidelity where that is below 0', () => {
    const below = (points: StudyFigures): StudyFigures => ({ ...points, fidelity: points.fidelity - 1 });
    const lower: StudyResults = {
      bounds: results.bounds.map((bound) => ({ ...bound, floor: below(bound.floor) })),
      runs: results.runs.map((run) => ({
        ...run,
        points: run.points.map((point) => ({ ...point, ...below(point) })),
      })),
    };
    const { missed, matched } = compare(lower, 'tlora', 'lora', 8)!;
    expect(missed).toEqual({ variant: 1, against: 0 });
    // At fidelity −0.21, 0.79 of the way from −1 to −0.2 as seen from 0.8: LoRA 0.9 − 0.4·0.79/0.8, T-LoRA 0.9 − 0.3·0.79/0.8 and 0.2.
    const way = 0.79 / 0.8;
    expect(matched.mean).toBeCloseTo((0.9 - 0.3 * way + 0.2) / 2 - (0.9 - 0.4 * way), 12);
  });

  it('gives every concept the same weight, however many of its seeds are done', () => {
    const [first] = results.runs;
    const again = { ...first!, seed: 2, points: [{ ...first!.points[0]!, alignment: 0.1 }] };
    const more = { ...results, runs: [...results.runs, again] };
    expect(finalMeans(more, 'lora', 8)!.alignment).toBeCloseTo(((0.5 + 0.1) / 2 + 0.5) / 2, 12);
    expect(finalMeans(more, 'ortho', 8)).toBeNull();
  });

  it('has nothing to say without pairs', () => {
    expect(compare(results, 'ortho', 'lora', 8)).toBeNull();
    expect(compare(results, 'tlora', 'lora', 32)).toBeNull();
  });
});

describe('copiesByScore', () => {
  it('takes the mean over the checkpoints of each tenth that has any', () => {
    const points = [
      [0.05, 0],
      [0.32, 0.25],
      [0.39, 0.75],
      [1, 1],
    ].map(([copyScore, copies]) => ({ step: 1, copyScore: copyScore!, ...figures(0, 0), copies: copies! }));
    const run = { concept: 0, seed: 1, rank: 8, seconds: 1, variant: 'lora' as const, points };
    expect(copiesByScore({ bounds: [], runs: [run] })).toEqual([
      { from: 0, checkpoints: 1, copies: 0 },
      { from: 0.3, checkpoints: 2, copies: 0.5 },
      { from: 0.9, checkpoints: 1, copies: 1 },
    ]);
  });
});

describe('studyText', () => {
  const settings = { ...STUDY_SETTINGS, concepts: [0, 1], seeds: 1, ranks: [8] };

  it('has a row for each method, bound and comparison', () => {
    const text = studyText(results, settings);
    expect(text).toContain('4 of 8 runs: concepts 0, 1; 1 training seeds');
    for (const row of [
      '| LoRA, rank 8 | 0.800 | 0.500 | 0.600 | 0.600 | 0.000 |',
      '| T-LoRA, rank 8 | 0.600 | 0.600 | 0.200 | 0.200 | 0.000 |',
      '| no adapter | 0.000 | 0.900 |',
      '| true renders | 0.900 | 0.950 |',
      '| training picture | 1.000 | 0.200 |',
      '| T-LoRA − LoRA, rank 8 | 2 | −0.11',
      '| 1 / 0 | +0.100 (+0.100 … +0.100) |',
      'Over all 4 checkpoints its copy score has a rank correlation of +1.000 with leak, none with near-copies, and −1.000 with',
      '| 0.1 to 0.2 | 2 | 0.0 % |',
      '| 0.6 to 0.7 | 2 | 0.0 % |',
    ])
      expect(text).toContain(row);
    expect(text).not.toContain('NaN');
  });

  it('leaves out what belongs to another study', () => {
    expect(resultsOf(results, { ...settings, concepts: [1] }).runs).toHaveLength(2);
    expect(resultsOf(results, { ...settings, variants: ['lora'] }).runs).toHaveLength(2);
    expect(resultsOf(results, { ...settings, concepts: [1, 2] }).bounds.map(({ concept }) => concept)).toEqual([1]);
    expect(resultsOf({ ...results, runs: [] }, settings).bounds).toEqual([]);
  });

  it('is put into a page once, and replaced after that', () => {
    const once = withStudy('# Page\n\ntext\n', 'first');
    expect(once).toContain('# Page\n\ntext\n\n## LoRA and T-LoRA on the mini model\n');
    const twice = withStudy(`${once}\nmore\n`, 'second');
    expect(twice).toContain('second');
    expect(twice).not.toContain('first');
    expect(twice.endsWith('\nmore\n')).toBe(true);
  });
});
