import type { Command } from 'commander';
import type { EvaluateRunOptions } from '../evaluate/evaluateRun.js';
import { evaluationTable } from '../evaluate/evaluationTable.js';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { addAlgorithmOptions, addDeviceOptions } from './deviceOptions.js';
import { abortOnInterrupt } from './interrupt.js';
import { parseNumber } from './numbers.js';
import { addOutputOptions } from './outputOptions.js';
import { requireFlags } from './requiredFlags.js';

type EvaluateFlags = Omit<EvaluateRunOptions, 'prompts' | 'distractors' | 'signal' | 'onProgress'> & OutputOptions;

async function runEvaluate(context: CliContext, flags: EvaluateFlags): Promise<number> {
  const { json, quiet, progress = true, ...options } = flags;
  const { evaluateRun } = await context.parts.evaluate();
  const interrupt = abortOnInterrupt(context);
  const tell = (done: number, all: number): void => {
    if (quiet || !progress || (done % 8 !== 0 && done < all)) return;
    context.err.write(`pictures for ${done} of ${all} prompts\n`);
  };
  try {
    const evaluation = await evaluateRun({ ...options, signal: interrupt.signal, onProgress: tell });
    if (evaluation.concept === null && !quiet)
      context.err.write('the picture is none of the mini world: fidelity is against itself, without an oracle\n');
    context.out.write(json ? `${JSON.stringify(evaluation)}\n` : evaluationTable(evaluation));
    return EXIT.ok;
  } finally {
    interrupt.end();
  }
}

/** `tlora evaluate`: what a run on the mini model learned, in figures. */
export function addEvaluateCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const command = program
    .command('evaluate')
    .description('judge a run on the mini model: fidelity, alignment, leak, copies')
    .option('--run <dir>', 'folder of the run')
    .option('--best', 'judge the best checkpoint of a run with --watch (default: the last step)')
    .option('--count <n>', 'pictures for each of 32 prompts (default: 1)', parseNumber)
    .option('--steps <n>', 'sampler steps (default: 25)', parseNumber)
    .option('--seed <n>', 'a whole number (default: 0)', parseNumber)
    .option('--threads <n>', 'CPU threads (default: all cores)', parseNumber)
    .option('--evaluators <dir>', 'folder of evaluators (default: those of the package)');
  requireFlags(addOutputOptions(addAlgorithmOptions(addDeviceOptions(command))), ['run']).action(
    async (flags: EvaluateFlags) => exit(await runEvaluate(context, flags)),
  );
}
