import type { Program, RunOptions } from '../addon/surface.js';
import type { Graph } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { type Feeds, loadProgram, readResult, type Session } from '../pipeline/session.js';
import type { UnetSizes } from '../pipeline/unetGraph.js';
import { makePlan } from '../plan/makePlan.js';
import { type BudgetedPlan, planWithin } from '../plan/memoryBudget.js';
import type { Target } from '../plan/target.js';
import { type StepGraphOptions, type StepRecording, stepGraph, updateGraph } from './stepGraph.js';
import { clearRecord, type LossScale, readLossScale, type StepRecord, takeRecord } from './stepRecord.js';

/** AdamW's settings; betas 0.9 and 0.999 and eps 1e-8 are torch's defaults. */
export interface OptimizerSettings {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly eps?: number;
  /** Largest norm of the gradient; absent: no clipping. */
  readonly clip?: number | undefined;
}

export interface TrainerOptions {
  readonly unet: Component;
  readonly sizes: UnetSizes;
  readonly adapters: StepGraphOptions['adapters'];
  readonly draws: 'drawn' | 'given';
  /** Batches summed into one optimizer step. */
  readonly accumulate: number;
  readonly optimizer: OptimizerSettings;
  /** Bytes that everything together may take. */
  readonly memory?: number | undefined;
  /** Judge and note down steps on the device. */
  readonly record?: StepRecording | undefined;
}

/** What one optimizer step gave. */
export interface StepResult {
  /** Mean squared error over all samples of the step. */
  readonly loss: number;
  /** Of each sample, batch after batch. */
  readonly perSample: readonly number[];
  /** Norm of the gradient, before clipping. */
  readonly norm: number;
}

/** Runs optimizer steps over the state buffers `params`, `m` and `v` of a session. */
export interface Trainer {
  readonly planned: BudgetedPlan;
  /** Writes inputs that stay the same for many steps. */
  feed(feeds: Feeds): void;
  /** The same for what is done after each update (orthogonal: 'retract'). */
  feedUpdate(feeds: Feeds): void;
  /**
   * @param step 1 for the first, which the bias corrections need; with `record` they count the steps that were applied
   * @param batches inputs of each accumulated batch
   * @param check names the op that first gives an infinite value or NaN; slower
   */
  step(step: number, batches: readonly Feeds[], check?: boolean): Promise<StepResult>;
  /** Where the device notes its steps down; null where the host sees each. */
  readonly queue: StepQueue | null;
  dispose(): void;
}

/** Steps that follow each other on the device while the host prepares the next ones. */
export interface StepQueue {
  /** The same as `Trainer.step`, without an answer. @param wait for this step and all before it */
  push(step: number, batches: readonly Feeds[], wait: boolean): Promise<void>;
  /** What the steps since the last call noted down, at most MOST_QUEUED. */
  take(): StepRecord;
  /** As the next step will have it; null where gradients are not scaled. */
  lossScale(): LossScale | null;
  /**
   * Goes on after `done` steps of the run, and forgets a failed step and what follows it.
   * @param lossScale null: that of a new run
   */
  reset(lossScale: LossScale | null, done: number): void;
}

/** The eight numbers of ADAMW_HYPER for one step. */
export function adamwHyper(settings: OptimizerSettings, step: number): Float32Array {
  const { learningRate, weightDecay, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip = 0 } = settings;
  return Float32Array.of(learningRate, beta1, beta2, eps, weightDecay, 1 - beta1 ** step, 1 - beta2 ** step, clip);
}

/** Plans the step, within a budget if there is one. */
export function planStep(options: Omit<TrainerOptions, 'optimizer'>, target: Target): BudgetedPlan {
  if (options.accumulate === 1) return planWithin(stepGraph({ ...options, until: 'step' }), target, options.memory);
  const graph = stepGraph({ ...options, until: 'accumulate' });
  return planWithin(graph, target, options.memory, updateBytes(graph, options));
}

/** Bytes of the state that only the update reads. */
function updateBytes(step: Graph, { adapters, record }: Pick<TrainerOptions, 'adapters' | 'record'>): number {
  const read = makePlan(step, 1).stateBytes;
  const update = [...makePlan(updateGraph(adapters, record), 1).stateBytes];
  return update.reduce((sum, [name, bytes]) => (read.has(name) ? sum : sum + bytes), 0);
}

/** The programs of a step, and inputs that are written only when they change. */
interface StepPrograms {
  readonly program: Program;
  readonly update: Program | null;
  readonly write: (program: Program, feeds: Feeds) => void;
}

/** Leaves out arrays that were written last: nobody changes an array that was fed. */
function writeChanged(): StepPrograms['write'] {
  const written = new Map<Program, Map<string, unknown>>();
  return (program, feeds) => {
    const known = written.get(program) ?? new Map<string, unknown>();
    written.set(program, known);
    for (const [name, values] of Object.entries(feeds)) {
      if (known.get(name) === values) continue;
      program.write(name, values);
      known.set(name, values);
    }
  };
}

/** Hears of each batch once it has run. */
type OnBatch = (i: number, program: Program) => void;

/** Runs the batches of one step and its update, all with the same options. */
async function runStep(
  { program, update, write }: StepPrograms,
  hyper: Float32Array,
  batches: readonly Feeds[],
  { run, lossOf, onBatch }: { run: (last: boolean) => RunOptions; lossOf?: () => number; onBatch?: OnBatch },
): Promise<void> {
  for (const [i, feeds] of batches.entries()) {
    if (update) program.write('accumulate', Float32Array.of(i === 0 ? 0 : 1, 1 / batches.length));
    else program.write('hyper', hyper);
    write(program, feeds);
    await program.run(run(!update));
    onBatch?.(i, program);
  }
  if (!update) return;
  update.write('hyper', hyper);
  if (lossOf) update.write('loss', Float32Array.of(lossOf()));
  await update.run(run(true));
}

/**
 * Loads weights and programs for training. The start must be in the state buffers before the first step.
 * @param planned what `planStep` gave for the same options, if it was called
 */
export async function createTrainer(
  session: Session,
  options: TrainerOptions,
  planned: BudgetedPlan = planStep(options, session.target),
): Promise<Trainer> {
  const { accumulate, optimizer, unet, record } = options;
  const program = await loadProgram(session, planned.plan, [unet]);
  const graph = accumulate === 1 ? null : updateGraph(options.adapters, record);
  const update = graph && (await loadProgram(session, makePlan(graph, session.target), []));
  const programs = { program, update, write: writeChanged() };
  if (!record) program.write('lossSeed', Float32Array.of(1));
  else clearRecord(session, record, null, 0);
  return {
    planned,
    feed: (feeds) => programs.write(program, feeds),
    feedUpdate: (feeds) => programs.write(update ?? program, feeds),
    step: async (step, batches, check = false) => {
      const perSample: number[] = [];
      let loss = 0;
      const onBatch: OnBatch = () => {
        perSample.push(...readResult(program, 'perSample'));
        loss += readResult(program, 'loss')[0]! / batches.length;
      };
      const lossOf = record ? {} : { lossOf: () => loss };
      await runStep(programs, adamwHyper(optimizer, step), batches, { run: () => ({ check }), onBatch, ...lossOf });
      return { loss, perSample, norm: readResult(update ?? program, 'norm')[0]! };
    },
    queue: record ? stepQueue(session, programs, options, record) : null,
    dispose: () => disposeAll(program, update),
  };
}

function stepQueue(
  session: Session,
  programs: StepPrograms,
  { optimizer }: TrainerOptions,
  record: StepRecording,
): StepQueue {
  return {
    push: (step, batches, wait) =>
      runStep(programs, adamwHyper(optimizer, step), batches, { run: (last) => ({ queue: !(wait && last) }) }),
    take: () => takeRecord(session, record),
    lossScale: () => readLossScale(session, record),
    reset: (lossScale, done) => clearRecord(session, record, lossScale, done),
  };
}

function disposeAll(...programs: (Program | null)[]): void {
  for (const program of programs) program?.dispose();
}
