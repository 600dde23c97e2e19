import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPictureMaker } from '../../lib/evaluate/pictureMaker.js';
import { recordModel, verifyModel } from '../../lib/evaluate/verifyModel.js';
import { generate } from '../../lib/generate/generate.js';
import { loadPhoto, signedToPixels, writePng } from '../../lib/io/image.js';
import { readResults } from '../../lib/study/results.js';
import { runStudy, type StudyOptions } from '../../lib/study/runStudy.js';
import { STUDY_SETTINGS, type StudyUnit } from '../../lib/study/settings.js';
import { studyText } from '../../lib/study/studyTable.js';
import { train } from '../../lib/train/train.js';
import { conceptTrainingView } from '../../lib/world/concepts.js';
import { promptSuite } from '../../lib/world/prompts.js';
import { writeScratchEvaluators } from '../support/scratchEvaluators.js';
import { writeScratchMini } from '../support/scratchMini.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-study-'));
const at = (...parts: string[]): string => join(root, ...parts);

beforeAll(async () => {
  await writeScratchMini(at('mini'));
  await writeScratchEvaluators(at('evaluators'));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the picture maker', () => {
  it('gives the pictures of generate, many prompts at once, with any adapter', async () => {
    await writePng(at('concept.png'), conceptTrainingView(0).picture.pixels, 64, 64);
    const { adapterPath } = await train({
      ...{ model: at('mini'), image: at('concept.png'), className: 'creature', rank: 4, steps: 2, threads: 2 },
      ...{ learningRate: 1e-2, outputDir: at('run') },
    });
    const prompts = ['a creature at night', 'a creature', 'a creature in the snow'];
    const maker = openPictureMaker(at('mini'), { steps: 2, threads: 2 });
    try {
      for (const adapter of [null, adapterPath, null]) {
        const all = await maker.make(
          prompts.map((text, seed) => ({ text, seed: 5 + seed })),
          adapter,
        );
        const outputDir = at('generated', String(adapter === null));
        for (const [i, prompt] of prompts.entries()) {
          const used = adapter === null ? {} : { adapter };
          const options = { model: at('mini'), prompt, ...used, seed: 5 + i, steps: 2, threads: 2, outputDir };
          const { pictures } = await generate(options);
          const { pixels } = await loadPhoto(pictures[0]!.path, 64);
          const own = signedToPixels(all[i]!);
          expect(Math.max(...pixels.map((value, k) => Math.abs(value - own[k]!)))).toBeLessThanOrEqual(1);
        }
      }
    } finally {
      maker.dispose();
    }
  });
});

describe('runStudy', () => {
  const settings = {
    ...STUDY_SETTINGS,
    ...{ concepts: [0], seeds: 1, variants: ['lora', 'tlora'] as const, ranks: [2] },
    ...{ steps: 4, checkpoints: 2, samplerSteps: 1 },
  };
  const options = (more: Partial<StudyOptions> = {}): StudyOptions => ({
    ...{ dir: at('study'), settings, model: at('mini'), evaluators: at('evaluators'), threads: 2 },
    prompts: [promptSuite()[13]!, promptSuite()[20]!, promptSuite().at(-1)!],
    ...more,
  });

  it('does the runs that are left, in slices, and judges their checkpoints', async () => {
    expect(await runStudy(options({ untilTime: Date.now() - 1 }))).toBe(false);
    const heard: [number, number, StudyUnit['variant']][] = [];
    const one = { ...settings, variants: ['lora'] as const };
    expect(await runStudy(options({ settings: one }))).toBe(true);
    appendFileSync(at('study', 'results.jsonl'), '{"concept":0,"see'); // killed while writing
    mkdirSync(at('study', 'runs', '0-1-tlora-2'), { recursive: true });
    writeFileSync(at('study', 'runs', '0-1-tlora-2', 'log.jsonl'), ''); // and while training
    const onRun: StudyOptions['onRun'] = (done, all, { variant }) => heard.push([done, all, variant]);
    expect(await runStudy(options({ onRun }))).toBe(true);
    expect(heard).toEqual([[2, 2, 'tlora']]);
    const { runs, bounds } = readResults(at('study'));
    expect(runs.map(({ variant, points }) => [variant, points.map(({ step }) => step)])).toEqual([
      ['lora', [2, 4]],
      ['tlora', [2, 4]],
    ]);
    expect(bounds).toHaveLength(1);
    expect(existsSync(at('study', 'runs')) ? readdirSync(at('study', 'runs')) : []).toEqual([]);
    const text = studyText(readResults(at('study')), settings);
    expect(text).toContain('2 of 2 runs');
    expect(text).not.toContain('NaN');
  });

  it('gives the same figures again', async () => {
    await runStudy(options({ dir: at('again') }));
    const points = (dir: string): unknown => readResults(at(dir)).runs.map((run) => run.points);
    expect(points('again')).toEqual(points('study'));
  });

  it('stops within a run when it is told to, and does that run again', async () => {
    const stop = new AbortController();
    const trained = at('stopped', 'runs', '0-1-lora-2', 'adapter.safetensors');
    const prompts = options().prompts!.map((prompt) => ({
      ...prompt,
      get template() {
        if (existsSync(trained)) stop.abort(); // its pictures are due
        return prompt.template;
      },
    }));
    expect(await runStudy(options({ dir: at('stopped'), prompts, signal: stop.signal }))).toBe(false);
    expect(existsSync(trained)).toBe(true);
    expect(readResults(at('stopped'))).toMatchObject({ runs: [], bounds: [{ concept: 0 }] });
    expect(await runStudy(options({ dir: at('stopped'), settings: { ...settings, variants: ['lora'] } }))).toBe(true);
    expect(readResults(at('stopped')).runs).toHaveLength(1);
  });

  it('refuses a folder of another study, of other weights, and concepts that there are not', async () => {
    const other = runStudy(options({ settings: { ...settings, steps: 8 } }));
    await expect(other).rejects.toThrow(/^steps: expected 4, as in the study in/);
    const saved = JSON.parse(readFileSync(at('study', 'settings.json'), 'utf8'));
    const elsewhere = { ...saved, weights: { ...saved.weights, model: 'of another model' } };
    writeFileSync(at('study', 'settings.json'), JSON.stringify(elsewhere));
    await expect(runStudy(options())).rejects.toThrow(/^weights: expected .*of another model/);
    const none = runStudy(options({ settings: { ...settings, concepts: [0.5] } }));
    await expect(none).rejects.toThrow('expected an integer from 0 to 29');
  });
});

describe('verifyModel', () => {
  it('finds what was recorded, and names what changed since', async () => {
    const options = { dir: at('mini'), evaluators: at('evaluators'), threads: 2 };
    await expect(verifyModel(options)).rejects.toThrow('expected figures.json');
    const recorded = await recordModel({ ...options, prompts: 9, steps: 2 });
    expect(recorded.problems).toHaveLength(2); // random weights, and evaluators that learned for a step
    const verified = await verifyModel({ ...options, dir: `${at('mini')}/../mini/` });
    expect(verified.figures).toEqual(recorded.figures);
    expect(verified.problems).toEqual(recorded.problems);
    appendFileSync(at('mini', 'scheduler', 'scheduler_config.json'), '\n');
    const { problems } = await verifyModel(options);
    expect(
      problems.filter((problem) => problem.startsWith('scheduler/scheduler_config.json: expected SHA-256')),
    ).toHaveLength(1);
    expect(JSON.parse(readFileSync(at('mini', 'figures.json'), 'utf8'))).toMatchObject({ prompts: 9, guidance: 5 });
  });
});
