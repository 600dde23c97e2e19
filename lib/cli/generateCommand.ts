import { type Command, InvalidArgumentError, Option } from 'commander';
import type { GenerateOptions } from '../generate/options.js';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { addAlgorithmOptions, addDeviceOptions } from './deviceOptions.js';
import { formatDuration } from './formats.js';
import { abortOnInterrupt } from './interrupt.js';
import { addModelOptions } from './modelOptions.js';
import { parseNumber, parseSize } from './numbers.js';
import { addOutputOptions } from './outputOptions.js';
import { createProgress } from './progress.js';
import { requireFlags } from './requiredFlags.js';

const STARTS = ['last', 'middle', 'principal'];

type GenerateFlags = Omit<GenerateOptions, 'outputDir'> & OutputOptions & { out?: string };

/** The flags as options of `generate`. */
export function generateOptions(flags: GenerateFlags): GenerateOptions {
  const { out, json, quiet, progress, ...same } = flags;
  return { ...same, ...(out === undefined ? {} : { outputDir: out }) };
}

async function runGenerate(context: CliContext, flags: GenerateFlags): Promise<number> {
  const { generate } = await context.parts.generate();
  const progress = createProgress(context, flags);
  const interrupt = abortOnInterrupt(context);
  try {
    const options = { ...generateOptions(flags), signal: interrupt.signal, onEvent: progress.event };
    const result = await generate(options);
    progress.end();
    const made = result.pictures.length === 1 ? '1 picture' : `${result.pictures.length} pictures`;
    progress.note(`${made} in ${formatDuration(result.durationMs)}`);
    const paths = result.pictures.map((picture) => `${picture.path}\n`).join('');
    context.out.write(flags.json ? `${JSON.stringify(result)}\n` : paths);
    return EXIT.ok;
  } finally {
    progress.end();
    interrupt.end();
  }
}

/** Two adapters would be taken for a mixture. */
function single(path: string, earlier?: string): string {
  if (earlier !== undefined) throw new InvalidArgumentError('Expected one adapter: several are not mixed.');
  return path;
}

/** `tlora generate`: a flag for each option of `generate`. */
export function addGenerateCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const number = parseNumber;
  const choice = (flags: string, text: string, choices: string[]): Option => new Option(flags, text).choices(choices);
  const command = addModelOptions(
    program.command('generate').description('make pictures with a model and an adapter; prints their paths'),
  )
    .option('--adapter <file>', 'adapter of a run or of another program (default: none, the model alone)', single)
    .option('--prompt <text>', '{0} stands for the adapter’s "token class"')
    .option('--negative-prompt <text>', 'what the pictures should not show')
    .option('--count <n>', 'number of pictures; picture i uses seed + i (default: 1)', number)
    .option('--out <dir>', 'folder for the PNG files (default: pictures)')
    .option('--size <pixels>', 'side, or WIDTHxHEIGHT (default: as the adapter was trained)', parseSize)
    .option('--steps <n>', 'sampler steps (default: 25)', number)
    .option('--guidance <x>', 'classifier-free guidance, 1 switches it off (default: 5)', number)
    .option('--strength <x>', 'factor on the adapter’s change (default: 1)', number)
    .addOption(choice('--sampler <name>', 'sampler (default: euler)', ['euler', 'ddim', 'dpmpp2m']))
    .option('--karras', 'noise levels of Karras et al.')
    .option('--seed <n>', 'a whole number (default: 0)', number)
    .option('--force', 'use an adapter that was trained on another base model')
    .option('--unet-only', 'leave out what the adapter has for text encoders')
    .addOption(choice('--components <which>', 'start of a T-LoRA of LyCORIS (default: as the file says)', STARTS))
    .option('--memory <size>', 'all that may be allocated, such as 9GB')
    .option('--threads <n>', 'CPU threads (default: all cores)', number);
  requireFlags(addOutputOptions(addAlgorithmOptions(addDeviceOptions(command))), ['model', 'prompt']).action(
    async (flags: GenerateFlags) => exit(await runGenerate(context, flags)),
  );
}
