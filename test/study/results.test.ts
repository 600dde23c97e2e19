import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  addResult,
  type ConceptBounds,
  claimStudy,
  expectSameStudy,
  readResults,
  type StudyResult,
} from '../../lib/study/results.js';
import { STUDY_SETTINGS } from '../../lib/study/settings.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-results-'));
const at = (...parts: string[]): string => join(root, ...parts);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const weights = { model: 'a', evaluators: 'b' };
const figures = { fidelity: 0.5, alignment: 1, leakBackground: 0, leakPosition: 0, copies: 0 };
const bounds: ConceptBounds = { concept: 0, floor: figures, oracle: figures, pasted: figures };
const run = (seed: number): StudyResult => ({
  ...{ concept: 0, seed, variant: 'lora', rank: 8, seconds: 1 },
  points: [{ step: 4, copyScore: 0, ...figures }],
});

describe('results of a study', () => {
  it('outlive a line that was cut off', async () => {
    await claimStudy(at('cut'), STUDY_SETTINGS, weights);
    expect(readResults(at('cut'))).toEqual({ runs: [], bounds: [] });
    addResult(at('cut'), bounds);
    appendFileSync(at('cut', 'results.jsonl'), '{"concept":0,"see'); // killed while writing
    addResult(at('cut'), run(1));
    addResult(at('cut'), run(2));
    expect(readResults(at('cut'))).toEqual({ runs: [run(1), run(2)], bounds: [bounds] });
  });
});

describe('a folder of a study', () => {
  it('takes more concepts, seeds, variants and ranks, and nothing else', async () => {
    await claimStudy(at('one'), STUDY_SETTINGS, weights);
    const wider = { ...STUDY_SETTINGS, concepts: [7], seeds: 3, ranks: [64], variants: ['lora'] as const };
    await claimStudy(at('one'), wider, weights);
    const saved = readFileSync(at('one', 'settings.json'), 'utf8');
    const dearer = { ...STUDY_SETTINGS, samplerSteps: 50 };
    await expect(claimStudy(at('one'), dearer, weights)).rejects.toThrow(
      /^samplerSteps: expected 13, as in the study in .*one, got 50\n.*another --out/,
    );
    await expect(claimStudy(at('one'), STUDY_SETTINGS, { ...weights, model: 'other' })).rejects.toThrow(/^weights: /);
    expect(readFileSync(at('one', 'settings.json'), 'utf8')).toBe(saved);
    expect(() => expectSameStudy(at('one'), dearer)).toThrow('samplerSteps');
    expectSameStudy(at('one'), STUDY_SETTINGS);
    expectSameStudy(at('none'), dearer);
  });

  it('needs seeds, and checkpoints that divide the steps', async () => {
    await expect(claimStudy(at('bad'), { ...STUDY_SETTINGS, seeds: 0 }, weights)).rejects.toThrow('seeds: expected');
    const uneven = { ...STUDY_SETTINGS, checkpoints: 3 };
    await expect(claimStudy(at('bad'), uneven, weights)).rejects.toThrow('checkpoints: expected');
  });
});
