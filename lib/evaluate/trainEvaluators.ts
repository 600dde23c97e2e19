import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { openSession } from '../pipeline/session.js';
import { readAveraged } from '../pretrain/exportModel.js';
import { runStage, type SliceOptions, statePath } from '../pretrain/runStage.js';
import { readEvaluatorWeights, writeEvaluatorConfig, writeEvaluatorWeights } from './evaluatorFiles.js';
import { readerOf } from './evaluators.js';
import { GATE_SIZES, type GateFigures, type GateSizes, measureGates, missedGates } from './gates.js';
import type { EvaluatorSettings } from './settings.js';
import { evaluatorStage } from './stage.js';

/** Does steps of the training of evaluators; see `runStage`. @param options check: sizes of the measurement every 500 steps */
export async function trainEvaluators(
  settings: EvaluatorSettings,
  options: SliceOptions & {
    readonly threads: number;
    readonly device?: ComputeDevice | undefined;
    readonly check?: GateSizes;
  },
): Promise<{ step: number; finished: boolean }> {
  const session = openSession(options.device ?? options.threads);
  try {
    return await runStage(session, evaluatorStage(settings, options.check), options);
  } finally {
    session.engine.dispose();
  }
}

/**
 * Writes the averaged weights of a run as a folder of evaluators, float16, with what the written weights reach.
 * @param to a folder; its config.json, without which it is none, is only written if all gates are reached, or with `anyway`
 * @throws ConfigError naming the gates that are missed; FileWriteError
 */
export async function exportEvaluators(
  settings: EvaluatorSettings,
  run: {
    readonly dir: string;
    readonly to: string;
    readonly threads: number;
    readonly device?: ComputeDevice | undefined;
    readonly anyway?: boolean;
  },
  sizes: GateSizes = GATE_SIZES,
): Promise<GateFigures> {
  const { dir, to, threads, device = threads, anyway = false } = run;
  const stage = evaluatorStage(settings);
  const values = readAveraged(statePath(dir, stage.name), stage.layout);
  const draft = join(dir, 'draft');
  const draftSum = await writeEvaluatorWeights(draft, settings.sizes, values);
  const reader = await readerOf(readEvaluatorWeights(draft, settings.sizes), settings.sizes, device);
  let gates: GateFigures;
  try {
    gates = await measureGates(reader, sizes);
  } finally {
    reader.dispose();
  }
  await writeEvaluatorConfig(draft, { settings, gates, sha256: draftSum });
  const missed = missedGates(gates);
  if (missed.length > 0 && !anyway)
    throw new ConfigError(`evaluators: not all gates are reached:\n${missed.join('\n')}`, {
      hint: `Train longer. The weights as they stand are in ${draft}.`,
    });
  const sha256 = await writeEvaluatorWeights(to, settings.sizes, values);
  await writeEvaluatorConfig(to, { settings, gates, sha256 });
  return gates;
}
