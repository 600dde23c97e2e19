import type { Program } from '../addon/surface.js';
import type { Graph } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { type Feeds, loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import type { UnetSizes } from '../pipeline/unetGraph.js';
import { makePlan } from '../plan/makePlan.js';
import { type BudgetedPlan, planWithin } from '../plan/memoryBudget.js';
import { stepGraph, type TrainedAdapters, updateGraph } from './stepGraph.js';

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
  readonly adapters: (graph: Graph) => TrainedAdapters;
  readonly draws: 'drawn' | 'given';
  /** Batches summed into one optimizer step. */
  readonly accumulate: number;
  readonly optimizer: OptimizerSettings;
  /** Bytes that everything together may take. */
  readonly memory?: number | undefined;
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
   * @param step 1 for the first, which the bias corrections need
   * @param batches inputs of each accumulated batch
   * @param check names the op that first gives an infinite value or NaN; slower
   */
  step(step: number, batches: readonly Feeds[], check?: boolean): Promise<StepResult>;
  dispose(): void;
}

/** The eight numbers of ADAMW_HYPER for one step. */
export function adamwHyper(settings: OptimizerSettings, step: number): Float32Array {
  const { learningRate, weightDecay, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip = 0 } = settings;
  return Float32Array.of(learningRate, beta1, beta2, eps, weightDecay, 1 - beta1 ** step, 1 - beta2 ** step, clip);
}

/** Plans the step, within a budget if there is one. */
export function planStep(options: Omit<TrainerOptions, 'optimizer'>, threads: number): BudgetedPlan {
  if (options.accumulate === 1) return planWithin(stepGraph({ ...options, until: 'step' }), threads, options.memory);
  const graph = stepGraph({ ...options, until: 'accumulate' });
  return planWithin(graph, threads, options.memory, momentBytes(graph, options.adapters));
}

/** Bytes of the state that only the update reads. */
function momentBytes(step: Graph, adapters: TrainerOptions['adapters']): number {
  const read = makePlan(step, 1).stateBytes;
  const update = [...makePlan(updateGraph(adapters), 1).stateBytes];
  return update.reduce((sum, [name, bytes]) => (read.has(name) ? sum : sum + bytes), 0);
}

/**
 * Loads weights and programs for training. The start must be in the state buffers before the first step.
 * @param planned what `planStep` gave for the same options, if it was called
 */
export async function createTrainer(
  session: Session,
  options: TrainerOptions,
  planned: BudgetedPlan = planStep(options, session.threads),
): Promise<Trainer> {
  const { accumulate, optimizer, unet } = options;
  const program = await loadProgram(session, planned.plan, [unet]);
  const update =
    accumulate === 1 ? null : await loadProgram(session, makePlan(updateGraph(options.adapters), session.threads), []);
  program.write('lossSeed', Float32Array.of(1));
  const runBatch = async (feeds: Feeds, check: boolean): Promise<{ loss: number; perSample: Float32Array }> => {
    writeAll(program, feeds);
    await program.run({ check });
    return { loss: readResult(program, 'loss')[0]!, perSample: readResult(program, 'perSample') };
  };
  const accumulated = async (step: number, batches: readonly Feeds[], check: boolean): Promise<StepResult> => {
    const perSample: number[] = [];
    let loss = 0;
    for (const [i, feeds] of batches.entries()) {
      program.write('accumulate', Float32Array.of(i === 0 ? 0 : 1, 1 / batches.length));
      const result = await runBatch(feeds, check);
      perSample.push(...result.perSample);
      loss += result.loss / batches.length;
    }
    writeAll(update!, { hyper: adamwHyper(optimizer, step), loss: Float32Array.of(loss) });
    await update!.run({ check });
    return { loss, perSample, norm: readResult(update!, 'norm')[0]! };
  };
  return {
    planned,
    feed: (feeds) => writeAll(program, feeds),
    feedUpdate: (feeds) => writeAll(update ?? program, feeds),
    step: async (step, batches, check = false) => {
      if (accumulate !== 1) return accumulated(step, batches, check);
      program.write('hyper', adamwHyper(optimizer, step));
      const { loss, perSample } = await runBatch(batches[0]!, check);
      return { loss, perSample: [...perSample], norm: readResult(program, 'norm')[0]! };
    },
    dispose: () => disposeAll(program, update),
  };
}

function disposeAll(...programs: (Program | null)[]): void {
  for (const program of programs) program?.dispose();
}
