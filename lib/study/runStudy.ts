import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { conceptReference, oraclePictures, promptedBy } from '../evaluate/conceptReference.js';
import { openEvaluators } from '../evaluate/evaluators.js';
import type { Figures, PromptedPicture, ReadReference } from '../evaluate/figures.js';
import { judgePictures, pastedPictures, readReference } from '../evaluate/judge.js';
import { openPictureMaker, type PictureMaker, type SeededPrompt } from '../evaluate/pictureMaker.js';
import type { Reader } from '../evaluate/reader.js';
import { modelDigest } from '../evaluate/verifyModel.js';
import { writePng } from '../io/image.js';
import { runFolder } from '../train/runFolder.js';
import { readRunLog, watchRecords } from '../train/runLog.js';
import { train } from '../train/train.js';
import { SIDE } from '../world/canvas.js';
import { concept as conceptOf, conceptTrainingView } from '../world/concepts.js';
import { fillPrompt, type Prompt, promptSuite } from '../world/prompts.js';
import { addResult, claimStudy, isOf, readResults, type StudyFigures, type StudyPoint } from './results.js';
import { judgedSteps, type StudySettings, type StudyUnit, studyUnits } from './settings.js';

export interface StudyOptions {
  readonly dir: string;
  readonly settings: StudySettings;
  readonly model: string;
  readonly evaluators?: string | undefined;
  readonly prompts?: readonly Prompt[] | undefined;
  readonly threads?: number | undefined;
  /** No run begins after this time (Date.now). */
  readonly untilTime?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears after each run: runs done, all runs, and the last one. */
  readonly onRun?: ((done: number, all: number, unit: StudyUnit, last: StudyPoint) => void) | undefined;
}

/** Rare token of every run. */
const TOKEN = 'sks';

interface Tools {
  readonly options: StudyOptions;
  readonly prompts: readonly Prompt[];
  readonly reader: Reader;
  readonly maker: PictureMaker;
  /** Pictures without an adapter, by the noun of their prompts: concepts of one noun share them. */
  readonly floors: Map<string, readonly Float32Array[]>;
}

function studied({ fidelityAll, alignment, leakBackground, leakPosition, copies }: Figures): StudyFigures {
  return {
    fidelity: fidelityAll ?? 0,
    alignment: alignment ?? 0,
    leakBackground: leakBackground ?? 0,
    leakPosition: leakPosition ?? 0,
    copies: copies.share ?? 0,
  };
}

/** All prompts with a subject. The seed of a prompt's noise is its place: the same for every run, and without an adapter. */
function seeded({ prompts }: Tools, fill: (template: string) => string): SeededPrompt[] {
  return prompts.map(({ template }, seed) => ({ text: fill(template), seed }));
}

async function pictures(tools: Tools, index: number, adapter: string): Promise<PromptedPicture[]> {
  const { noun } = conceptOf(index);
  const texts = seeded(tools, (template) => template.replaceAll('{0}', `${TOKEN} ${noun}`));
  const images = await tools.maker.make(texts, adapter, tools.options.signal);
  return tools.prompts.map((prompt, i) => promptedBy(prompt, noun, images[i]!));
}

async function floorPictures(tools: Tools, index: number): Promise<PromptedPicture[]> {
  const { noun } = conceptOf(index);
  const texts = seeded(tools, (template) => fillPrompt(template, noun));
  const images = tools.floors.get(noun) ?? (await tools.maker.make(texts, null, tools.options.signal));
  tools.floors.set(noun, images);
  return tools.prompts.map((prompt, i) => promptedBy(prompt, noun, images[i]!));
}

async function judge(
  { reader }: Tools,
  own: readonly PromptedPicture[],
  reference: ReadReference,
): Promise<StudyFigures> {
  return studied(await judgePictures(reader, reference, own));
}

async function addBounds(tools: Tools, index: number, reference: ReadReference): Promise<void> {
  const floor = await floorPictures(tools, index);
  addResult(tools.options.dir, {
    concept: index,
    floor: await judge(tools, floor, reference),
    oracle: await judge(tools, oraclePictures(index, tools.prompts, 1), reference),
    pasted: await judge(tools, pastedPictures(floor, reference), reference),
  });
}

/** Trains and judges one run; its folder is removed at the end. */
async function runUnit(tools: Tools, unit: StudyUnit, reference: ReadReference): Promise<StudyPoint> {
  const { options } = tools;
  const { steps, learningRates } = options.settings;
  const judged = judgedSteps(options.settings);
  const name = `${unit.concept}-${unit.seed}-${unit.variant}-${unit.rank}`;
  const outputDir = join(options.dir, 'runs', name);
  const image = join(options.dir, 'concepts', `${unit.concept}.png`);
  mkdirSync(join(options.dir, 'concepts'), { recursive: true });
  await writePng(image, conceptTrainingView(unit.concept).picture.pixels, SIDE, SIDE);
  rmSync(outputDir, { recursive: true, force: true }); // what a slice that was killed left
  const { durationMs } = await train({
    ...{ model: options.model, image, outputDir, steps, threads: options.threads, signal: options.signal },
    ...{ variant: unit.variant, rank: unit.rank, seed: unit.seed, learningRate: learningRates[unit.variant] },
    ...{ className: conceptOf(unit.concept).noun, token: TOKEN, prompt: 'a {0}' },
    saveEvery: judged[0]!,
    watch: { every: judged[0]!, draws: 2 },
  });
  const folder = runFolder(outputDir);
  const watched = watchRecords(readRunLog(folder.logPath));
  const points: StudyPoint[] = [];
  for (const step of judged) {
    const adapter = step === steps ? folder.adapterPath : folder.checkpointPath(step);
    const copyScore = watched.find((record) => record.step === step)!.copy;
    points.push({ step, copyScore, ...(await judge(tools, await pictures(tools, unit.concept, adapter), reference)) });
  }
  addResult(options.dir, { ...unit, points, seconds: durationMs / 1000 });
  rmSync(outputDir, { recursive: true, force: true });
  return points.at(-1)!;
}

/** Does the runs that are left, concept by concept, until a time or the signal. @returns whether all are done */
async function runLeft(tools: Tools, units: readonly StudyUnit[]): Promise<boolean> {
  const { dir, untilTime = Number.POSITIVE_INFINITY, signal, onRun } = tools.options;
  const { runs, bounds } = readResults(dir);
  const bounded = new Set(bounds.map(({ concept }) => concept));
  const left = units.filter((unit) => !runs.some((run) => isOf(run, unit)));
  let done = units.length - left.length;
  for (const concept of new Set(left.map((unit) => unit.concept))) {
    const reference = await readReference(tools.reader, conceptReference(concept));
    for (const unit of left.filter((one) => one.concept === concept)) {
      if (Date.now() >= untilTime || signal?.aborted) return false;
      if (!bounded.has(concept)) await addBounds(tools, concept, reference);
      bounded.add(concept);
      const last = await runUnit(tools, unit, reference);
      onRun?.(++done, units.length, unit, last);
    }
  }
  return true;
}

/**
 * Does the runs of a study that are not done yet, until all are, a time, or the signal. A run that the signal cuts short is done again.
 * @returns whether all are done
 * @throws (by rejecting) ConfigError for no evaluators, an unknown concept, or a folder of another study; what `train` throws
 */
export async function runStudy(options: StudyOptions): Promise<boolean> {
  const { dir, settings, model, threads, signal, prompts = promptSuite() } = options;
  const { samplerSteps: steps, guidance } = settings;
  for (const index of settings.concepts) conceptOf(index);
  const reader = await openEvaluators({ dir: options.evaluators, threads });
  try {
    await claimStudy(dir, settings, { model: modelDigest(model), evaluators: reader.config.sha256 });
    const maker = openPictureMaker(model, { steps, guidance, threads });
    try {
      return await runLeft({ options, prompts, reader, maker, floors: new Map() }, studyUnits(settings));
    } finally {
      maker.dispose();
    }
  } catch (error) {
    if (signal?.aborted) return false;
    throw error;
  } finally {
    reader.dispose();
  }
}
