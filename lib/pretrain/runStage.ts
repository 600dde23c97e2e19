import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../addon/surface.js';
import { NonFiniteError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import type { Component } from '../io/modelFolder.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { ensureState, type Feeds, loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import { adamwHyper } from '../train/trainer.js';
import { openTrainState, readTrainState, saveTrainState } from '../train/trainState.js';
import { SEED_USES } from './draws.js';
import { writeInitialValues } from './initialValues.js';
import { emaMixAt, learningRateAt, type StageSettings } from './settings.js';
import { appendLog, lossCurve, readLog, rewindLog } from './stageLog.js';

/** One stage of pretraining: a graph that trains all of a layout, and what each step reads. */
export interface Stage {
  /** Of its files in the folder of the run. */
  readonly name: string;
  readonly seed: number;
  readonly settings: StageSettings;
  readonly layout: FlatLayout;
  /** Results `loss`, `norm` and those of `parts`. */
  readonly graph: Graph;
  /** Results of the graph that the log shows beside the loss. */
  readonly parts: readonly string[];
  /** Frozen models that the graph reads. */
  readonly components: readonly Component[];
  /** Tensors that begin with these values instead of random ones, by their names. */
  readonly given?: ReadonlyMap<string, Float32Array>;
  /** Inputs that never change. */
  readonly constants: Feeds;
  /** Inputs of a step, 1 for the first: a pure function of the step. */
  readonly feeds: (step: number) => Feeds;
  /** Draws what the averaged weights do, into `dir`; figures of it for the next line of the log. */
  readonly preview: (session: Session, dir: string, step: number) => Promise<Readonly<Record<string, number>>>;
}

export interface SliceOptions {
  /** Folder of the whole run. */
  readonly dir: string;
  /** Last step to do now; the stage's own end comes first. */
  readonly untilStep?: number | undefined;
  /** No step begins after this time (Date.now). */
  readonly untilTime?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Steps between lines of the log, between previews, and between savings of the state. */
  readonly every?: { readonly log: number; readonly preview: number; readonly save: number };
  readonly onLine?: (line: Readonly<Record<string, number>>) => void;
}

const EVERY = { log: 20, preview: 500, save: 200 };

/** Where a stage keeps its state. */
export function statePath(dir: string, stage: Stage['name']): string {
  return join(dir, `${stage}-state.safetensors`);
}

/** Writes the first values, or those of the state in the folder. @returns steps done */
async function start(session: Session, stage: Stage, dir: string): Promise<number> {
  const { layout, seed } = stage;
  const path = statePath(dir, stage.name);
  for (const name of ['params', 'grads', 'ema', 'm', 'v']) ensureState(session, name, layout.total);
  if (existsSync(path)) {
    const saved = openTrainState(path, layout);
    await readTrainState(saved, session, layout);
    return saved.step;
  }
  writeInitialValues(layout, deriveSeed(seed, SEED_USES.weights), (offset, values) => {
    session.engine.writeState('params', offset, values);
  });
  stage.given?.forEach((values, name) => {
    session.engine.writeState('params', layout.entries.get(name)!.offset, values);
  });
  return 0;
}

function stepFeeds(stage: Stage, step: number): Feeds {
  const { settings } = stage;
  const hyper = adamwHyper({ ...settings, learningRate: learningRateAt(settings, step) }, step);
  return { ...stage.feeds(step), hyper, emaMix: emaMixAt(settings, step) };
}

/** Sums of results since the last line of the log. */
interface Sums {
  readonly values: Record<string, number>;
  steps: number;
  since: number;
}

function addResults(sums: Sums, program: Program, names: readonly string[], step: number): void {
  for (const name of names) {
    const value = readResult(program, name)[0]!;
    if (!Number.isFinite(value))
      throw new NonFiniteError(`${name}: expected a finite value, got ${value} at step ${step}`);
    sums.values[name] = (sums.values[name] ?? 0) + value;
  }
  sums.steps++;
}

/**
 * Does steps of a stage from where its state in the folder stands, until a step, a time or the signal, and saves the state. The weights
 * after step n are the same bits however the n steps were cut into slices.
 * @returns steps done so far, and whether the stage is finished
 * @throws NonFiniteError, FileWriteError, FileFormatError for a state of another model
 */
export async function runStage(
  session: Session,
  stage: Stage,
  options: SliceOptions,
): Promise<{ step: number; finished: boolean }> {
  const { dir, signal, every = EVERY } = options;
  mkdirSync(dir, { recursive: true });
  const logPath = join(dir, `${stage.name}-log.jsonl`);
  let step = await start(session, stage, dir);
  await rewindLog(logPath, step);
  const last = Math.min(stage.settings.steps, options.untilStep ?? Number.POSITIVE_INFINITY);
  const program = await loadProgram(session, stage.graph, stage.components);
  const names = ['loss', 'norm', ...stage.parts];
  const save = (): Promise<void> => saveTrainState(statePath(dir, stage.name), session, stage.layout, step);
  const mayGoOn = (): boolean =>
    step < last && signal?.aborted !== true && Date.now() < (options.untilTime ?? Number.POSITIVE_INFINITY);
  let sums: Sums = { values: {}, steps: 0, since: performance.now() };
  let figures: Readonly<Record<string, number>> = {};
  const note = (): void => {
    const means = Object.fromEntries(names.map((name) => [name, (sums.values[name] ?? 0) / sums.steps]));
    const msPerStep = (performance.now() - sums.since) / sums.steps;
    const line = { step, ...means, ...figures, learningRate: learningRateAt(stage.settings, step), msPerStep };
    appendLog(logPath, line as unknown as Parameters<typeof appendLog>[1]);
    options.onLine?.(line);
    sums = { values: {}, steps: 0, since: performance.now() };
    figures = {};
  };
  const preview = async (): Promise<void> => {
    const begun = performance.now();
    figures = await stage.preview(session, dir, step);
    sums.since += performance.now() - begun;
  };
  try {
    writeAll(program, { lossSeed: Float32Array.of(1), ...stage.constants });
    let feeds = step < last ? stepFeeds(stage, step + 1) : {};
    while (mayGoOn()) {
      writeAll(program, feeds);
      const running = program.run();
      if (step + 2 <= last) feeds = stepFeeds(stage, step + 2); // drawn while the engine computes
      await running;
      step++;
      addResults(sums, program, names, step);
      if (step % every.preview === 0) await preview();
      if (step % every.log === 0) note();
      if (step % every.save === 0) await save();
    }
    await save();
    const lines = readLog(logPath);
    if (lines.length > 1)
      await writeFileAtomic(join(dir, `${stage.name}-loss.svg`), lossCurve(lines, `${stage.name}: loss`));
    return { step, finished: step >= stage.settings.steps };
  } finally {
    program.dispose();
  }
}
