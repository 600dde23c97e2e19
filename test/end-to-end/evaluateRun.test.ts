import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateRun } from '../../lib/evaluate/evaluateRun.js';
import { writePng } from '../../lib/io/image.js';
import { train } from '../../lib/train/train.js';
import { conceptTrainingView } from '../../lib/world/concepts.js';
import { promptSuite } from '../../lib/world/prompts.js';
import { writeScratchEvaluators } from '../support/scratchEvaluators.js';
import { writeModel, writePhoto } from './tinyTraining.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-evaluate-'));
const at = (...parts: string[]): string => join(root, ...parts);
const prompts = [promptSuite()[13]!, promptSuite().at(-1)!];

/** A tiny random pipeline whose own pictures have a side of 64, or of 128. */
async function model(name: string, latentSide: number): Promise<string> {
  await writeModel(at(name));
  const path = at(name, 'unet', 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...config, sample_size: latentSide }));
  return at(name);
}

async function run(
  name: string,
  settings: { model: string; image: string; resolution?: number; watch?: boolean },
): Promise<string> {
  const shared = { className: 'creature', rank: 2, steps: 1, threads: 2, outputDir: at(name) };
  await train({ ...shared, ...settings });
  return at(name);
}

beforeAll(async () => {
  await writeScratchEvaluators(at('evaluators'));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('evaluateRun', () => {
  it('judges a run on a concept, with all rows', async () => {
    await writePng(at('concept.png'), conceptTrainingView(2).picture.pixels, 64, 64);
    const dir = await run('concept', { model: await model('model', 8), image: at('concept.png') });
    const heard: [number, number][] = [];
    const evaluation = await evaluateRun({
      ...{ run: dir, evaluators: at('evaluators'), prompts, distractors: 5, count: 2, steps: 2, threads: 2 },
      onProgress: (done, all) => heard.push([done, all]),
    });
    expect(evaluation.concept).toBe(2);
    expect(heard).toEqual([1, 2, 3, 4].map((done) => [done, 4]));
    const { pictures, oracle, floor, pasted, leak } = evaluation;
    expect([pictures, oracle, floor, pasted].map((figures) => figures?.pictures)).toEqual([4, 4, 4, 4]);
    expect(pictures.identified).toBeGreaterThanOrEqual(0);
    expect(pasted.copiesMasked?.share).toBe(1);
    expect(leak?.background).toBeCloseTo(pictures.leakBackground! - floor!.leakBackground!, 10);
    expect(JSON.parse(readFileSync(join(dir, 'evaluation', 'evaluation.json'), 'utf8'))).toEqual(evaluation);
    for (const path of ['pictures/00/1.png', 'floor/01/0.png'])
      expect(existsSync(join(dir, 'evaluation', path)), path).toBe(true);
  });

  it('judges a run on any other picture against itself', async () => {
    await writePhoto(at('photo.png'), 96, 80);
    const dir = await run('photo', { model: at('model'), image: at('photo.png') });
    const one = { prompts: prompts.slice(1), steps: 1, threads: 2 };
    const { concept, oracle, pictures, pasted } = await evaluateRun({ run: dir, evaluators: at('evaluators'), ...one });
    expect({ concept, oracle }).toEqual({ concept: null, oracle: null });
    expect(pictures).toMatchObject({ identified: null, copies: { share: null }, copiesMasked: null });
    expect(pasted.fidelity).toBeCloseTo(1, 5);
  });

  it('judges the best checkpoint of a watched run beside the last step', async () => {
    const dir = await run('watched', { model: at('model'), image: at('photo.png'), watch: true });
    const one = { evaluators: at('evaluators'), prompts: prompts.slice(1), steps: 1, threads: 2 };
    await evaluateRun({ run: dir, best: true, ...one });
    expect(existsSync(join(dir, 'evaluation-best', 'evaluation.json'))).toBe(true);
    expect(existsSync(join(dir, 'evaluation'))).toBe(false);
    await expect(evaluateRun({ run: at('photo'), best: true, ...one })).rejects.toThrow(/expected .*best\.safetensors/);
  });

  it('says which run it wants, where there is none or its picture was no file', async () => {
    await expect(evaluateRun({ run: at('nowhere') })).rejects.toThrow(/^run: expected a run in .*nowhere/);
    const bytes = readFileSync(at('photo.png'));
    const shared = { model: at('model'), className: 'creature', rank: 2, steps: 1, threads: 2 };
    await train({ ...shared, image: bytes, outputDir: at('bytes') });
    await expect(evaluateRun({ run: at('bytes') })).rejects.toThrow(/the path of a picture.*\n.*train from a file/);
  });

  it('takes a picture that was given as a URL', async () => {
    const dir = at('url');
    const image = pathToFileURL(at('photo.png'));
    await train({ model: at('model'), className: 'creature', rank: 2, steps: 1, threads: 2, image, outputDir: dir });
    const one = { prompts: prompts.slice(1), steps: 1, threads: 2 };
    const { pasted } = await evaluateRun({ run: dir, evaluators: at('evaluators'), ...one });
    expect(pasted.fidelity).toBeCloseTo(1, 5);
    await expect(evaluateRun({ run: dir, evaluators: at('nowhere'), ...one })).rejects.toThrow('pretrain:evaluators');
  });

  it('refuses runs on models of other pictures', async () => {
    const large = await model('large', 16);
    const dir = await run('other', { model: large, image: at('photo.png'), resolution: 64 });
    await expect(evaluateRun({ run: dir, evaluators: at('evaluators') })).rejects.toThrow('got 128×128');
  });
});
