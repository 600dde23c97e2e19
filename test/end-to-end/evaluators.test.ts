import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conceptReference, oraclePictures } from '../../lib/evaluate/conceptReference.js';
import { evaluatePictures } from '../../lib/evaluate/evaluatePictures.js';
import { evaluateRun } from '../../lib/evaluate/evaluateRun.js';
import { openEvaluators, verifyEvaluators } from '../../lib/evaluate/evaluators.js';
import { classLesson } from '../../lib/evaluate/lessons.js';
import { cosine } from '../../lib/evaluate/reader.js';
import { exportEvaluators, trainEvaluators } from '../../lib/evaluate/trainEvaluators.js';
import { readLog } from '../../lib/pretrain/stageLog.js';
import { promptSuite } from '../../lib/world/prompts.js';
import { tinyEvaluators } from '../evaluate/tinyEvaluators.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-evaluators-'));
const at = (...parts: string[]): string => join(root, ...parts);
const settings = tinyEvaluators();
const every = { log: 2, preview: 1000, save: 4 };
const few = { pictures: 12, concepts: 2, references: 2, distractors: 3 };
const train = (name: string, untilStep?: number) =>
  trainEvaluators(settings, { dir: at(name), threads: 2, every, untilStep });
const digest = (name: string): string =>
  createHash('sha256')
    .update(readFileSync(at(name, 'evaluators-state.safetensors')))
    .digest('hex');

beforeAll(async () => {
  expect(await train('whole')).toEqual({ step: 6, finished: true });
  await exportEvaluators(settings, { dir: at('whole'), to: at('made'), threads: 2, anyway: true }, few);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('training evaluators', () => {
  it('gives the same bits in slices as in one piece', async () => {
    for (const untilStep of [1, 4, 5, 6]) await train('slices', untilStep);
    expect(digest('slices')).toBe(digest('whole'));
  });

  it('learns', async () => {
    const longer = tinyEvaluators(80);
    await trainEvaluators(longer, { dir: at('longer'), threads: 2, every: { log: 10, preview: 1000, save: 1000 } });
    const lines = readLog(at('longer', 'evaluators-log.jsonl'));
    expect(lines.at(-1)!.loss).toBeLessThan(0.9 * lines[0]!.loss);
  });

  it('checks itself on the way', async () => {
    await trainEvaluators(settings, { dir: at('checked'), threads: 2, every: { ...every, preview: 6 }, check: few });
    const check = JSON.parse(readFileSync(at('checked', 'checks.jsonl'), 'utf8'));
    expect(check).toMatchObject({ step: 6, fresh: { style: expect.any(Number) }, identity: expect.any(Number) });
  });

  it('writes no evaluators that miss their gates', async () => {
    const made = exportEvaluators(settings, { dir: at('whole'), to: at('refused'), threads: 2 }, few);
    await expect(made).rejects.toThrow(/not all gates are reached:\n.*fresh: expected at least 0\.97/);
    expect(existsSync(at('refused'))).toBe(false);
  });
});

describe('evaluators', () => {
  it('read a picture alike whatever it is read with', async () => {
    const evaluators = await openEvaluators({ dir: at('made'), threads: 2 });
    try {
      const pictures = Array.from({ length: 19 }, (_, i) => classLesson(1, i).image);
      const all = await evaluators.read(pictures);
      const [alone] = await evaluators.read([pictures[17]!]);
      expect(all).toHaveLength(19);
      expect(alone).toEqual(all[17]);
      expect(cosine(alone!.identity, alone!.identity)).toBeCloseTo(1, 5);
      expect(alone!.probabilities.size.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      const texts = await evaluators.readTexts(['A red cat', 'a red cat', 'a blue cat']);
      expect(texts[0]).toEqual(texts[1]);
      expect(texts[0]).not.toEqual(texts[2]);
    } finally {
      evaluators.dispose();
    }
  });

  it('judge pictures', async () => {
    const evaluators = await openEvaluators({ dir: at('made'), threads: 2 });
    try {
      const pictures = oraclePictures(1, promptSuite(), 1);
      const reference = conceptReference(1, 4);
      const {
        pictures: own,
        pasted,
        oracle,
      } = await evaluatePictures({ evaluators, pictures, reference, oracle: pictures });
      expect(own).toEqual(oracle);
      expect(own.pictures).toBe(32);
      expect(pasted.copies).toMatchObject({ nearest: 0, share: 1 });
      expect(own.copies.nearest).toBeGreaterThan(0);
      expect(pasted.diversity).toBeNull();
    } finally {
      evaluators.dispose();
    }
  });

  it('are verified', async () => {
    const { measured, problems } = await verifyEvaluators({ dir: at('made'), threads: 2 }, few);
    expect(JSON.parse(readFileSync(at('made', 'config.json'), 'utf8')).gates).toEqual(measured);
    expect(problems.join()).toContain('shape, fresh: expected at least 0.97');
  });

  it('say how they are made where there are none, and that a run is wanted before pictures are made', async () => {
    await expect(openEvaluators({ dir: at('nowhere'), threads: 2 })).rejects.toThrow('pretrain:evaluators');
    await expect(evaluateRun({ run: at('none'), evaluators: at('made') })).rejects.toThrow('found no config.json');
  });
});
