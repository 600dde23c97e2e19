import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { conceptReference, oraclePictures, promptedBy } from '../evaluate/conceptReference.js';
import { evaluatePictures } from '../evaluate/evaluatePictures.js';
import { openEvaluators } from '../evaluate/evaluators.js';
import type { Figures, PromptedPicture, Reference } from '../evaluate/figures.js';
import { openPictureMaker, type PictureMaker } from '../evaluate/pictureMaker.js';
import type { Reader } from '../evaluate/reader.js';
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

async function pictures({ prompts, maker }: Tools, index: number, adapter: string | null): Promise<PromptedPicture[]> {
  const { noun } = conceptOf(index);
  const subject = adapter === null ? noun : `${TOKEN} ${noun}`;
  const texts = prompts.map(({ template }, seed) => ({
    text: adapter === null ? fillPrompt(template, noun) : template.replaceAll('{0}', subject),
    seed,
  }));
  const images = await maker.make(texts, adapter);
  return prompts.map((prompt, i) => promptedBy(prompt, noun, images[i]!));
}

async function judge({ reader }: Tools, own: readonly PromptedPicture[], reference: Reference): Promise<StudyFigures> {
  return studied((await evaluatePictures({ evaluators: reader, pictures: own, reference })).pictures);
}

async function addBounds(tools: Tools, index: number, reference: Reference): Promise<void> {
  const floor = await pictures(tools, index, null);
  const oracle = oraclePictures(index, tools.prompts, 1);
  const all = await evaluatePictures({ evaluators: tools.reader, pictures: floor, oracle, reference });
  addResult(tools.options.dir, {
    concept: index,
    floor: studied(all.pictures),
    oracle: studied(all.oracle!),
    pasted: studied(all.pasted),
  });
}

/** Trains and judges one run; its folder is removed at the end. */
async function runUnit(tools: Tools, unit: StudyUnit, reference: Reference): Promise<StudyPoint> {
  const { options } = tools;
  const { steps, learningRates } = options.settings;
  const judged = judgedSteps(options.settings);
  const name = `${unit.concept}-${unit.seed}-${unit.variant}-${unit.rank}`;
  const outputDir = join(options.dir, 'runs', name);
  const image = join(options.dir, 'concepts', `${unit.concept}.png`);
  mkdirSync(join(options.dir, 'concepts'), { recursive: true });
  await writePng(image, conceptTrainingView(unit.concept).picture.pixels, SIDE, SIDE);
  const { durationMs } = await train({
    ...{ model: options.model, image, outputDir, steps, threads: options.threads, signal: options.signal },
    ...{ variant: unit.variant, rank: unit.rank, seed: unit.seed, learningRate: learningRates[unit.variant] },
    ...{ className: conceptOf(unit.concept).noun, token: TOKEN, prompt: 'a {0}', overwrite: true },
    saveEvery: judged[0]!,
    watch: { every: judged[0]!, draws: 2 },
  });
  const folder = runFolder(outputDir);
  const watched = watchRecords(readRunLog(folder.logPath));
  const points: StudyPoint[] = [];
  for (const step of judged) {
    const adapter = step === steps ? folder.adapterPath : folder.checkpointPath(step);
    const copyScore = watched.find((record) => record.step === step)?.copy ?? 0;
    points.push({ step, copyScore, ...(await judge(tools, await pictures(tools, unit.concept, adapter), reference)) });
  }
  addResult(options.dir, { ...unit, points, seconds: durationMs / 1000 });
  rmSync(outputDir, { recursive: true, force: true });
  return points.at(-1)!;
}

/**
 * Does the runs of a study that are not done yet, until all are, a time, or the signal.
 * @returns whether all are done
 * @throws (by rejecting) ConfigError for no evaluators or a folder of another study; what `train` throws
 */
export async function runStudy(options: StudyOptions): Promise<boolean> {
  const { dir, settings, model, threads, untilTime = Number.POSITIVE_INFINITY, signal, onRun } = options;
  await claimStudy(dir, settings);
  const units = studyUnits(settings);
  const left = units.filter((unit) => !readResults(dir).runs.some((run) => isOf(run, unit)));
  const reader = await openEvaluators({ dir: options.evaluators, threads });
  const { samplerSteps: steps, guidance } = settings;
  const maker = openPictureMaker(model, { steps, guidance, threads });
  const tools: Tools = { options, prompts: options.prompts ?? promptSuite(), reader, maker };
  try {
    let done = units.length - left.length;
    for (const unit of left) {
      if (Date.now() >= untilTime || signal?.aborted) return false;
      const reference = conceptReference(unit.concept);
      if (!readResults(dir).bounds.some(({ concept }) => concept === unit.concept))
        await addBounds(tools, unit.concept, reference);
      const last = await runUnit(tools, unit, reference);
      onRun?.(++done, units.length, unit, last);
    }
    return true;
  } catch (error) {
    if (signal?.aborted) return false;
    throw error;
  } finally {
    maker.dispose();
    reader.dispose();
  }
}
