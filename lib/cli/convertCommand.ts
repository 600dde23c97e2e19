import { type Command, Option } from 'commander';
import type { ConvertOptions } from '../convert/options.js';
import { ConfigError } from '../errors.js';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { parseNumber } from './numbers.js';
import { requireFlags } from './requiredFlags.js';

type ConvertFlags = Omit<ConvertOptions, 'adapter'> & Pick<OutputOptions, 'json' | 'quiet'> & { full?: boolean };

async function runConvert(context: CliContext, adapter: string, flags: ConvertFlags): Promise<number> {
  const { json, quiet, full = false, ...options } = flags;
  if (full && options.atRank !== undefined) {
    throw new ConfigError('--full: expected it without --at-rank, got both');
  }
  const { convertAdapter } = await context.parts.convert();
  const result = await convertAdapter({ adapter, ...options });
  if (!quiet) {
    const error = `, relative error of the change ${result.relativeError.toExponential(1)}`;
    const shortened = options.rank === undefined ? '' : error;
    context.err.write(`${result.layers} layers, rank ${result.rank}${shortened}\n`);
    for (const note of result.notes) context.err.write(`note: ${note}\n`);
  }
  context.out.write(json ? `${JSON.stringify(result)}\n` : `${result.path}\n`);
  return EXIT.ok;
}

/** `tlora convert`: an adapter in another layout. */
export function addConvertCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const choice = (flags: string, text: string, choices: string[]): Option => new Option(flags, text).choices(choices);
  const command = program
    .command('convert')
    .description('write an adapter in another layout, for other programs; prints its path')
    .argument('<adapter>', 'adapter file of tlora or of another program')
    .addOption(choice('--to <layout>', 'layout to write', ['kohya', 'peft', 'diffusers', 'official', 'tlora']))
    .option('--out <file>', 'the file to write')
    .option('--model <path>', 'model folder or file: for files of other programs, and for starts from the weights')
    .option('--config <dir>', 'with a model file: the folder with its tokenizers')
    .option('--rank <n>', 'most components of a layer (default: what it takes to lose nothing)', parseNumber)
    .option('--at-rank <n>', 'only the components of the mask of this rank', parseNumber)
    .option('--full', 'all components (the default)')
    .addOption(choice('--dtype <type>', 'type of the values (default: float32)', ['float32', 'float16', 'bfloat16']))
    .option('--unet-only', 'leave out what the adapter has for text encoders')
    .addOption(
      choice('--components <which>', 'start of a T-LoRA of LyCORIS (default: as the file says)', [
        'last',
        'middle',
        'principal',
      ]),
    )
    .option('--overwrite', 'replace the file')
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'no notes on stderr');
  requireFlags(command, ['to', 'out']).action(async (adapter: string, flags: ConvertFlags) =>
    exit(await runConvert(context, adapter, flags)),
  );
}
