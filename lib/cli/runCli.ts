import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { convertOptionNames } from '../convert/options.js';
import { ConfigError } from '../errors.js';
import { generateOptionNames } from '../generate/options.js';
import { trainOptionNames } from '../train/options.js';
import { type CliContext, EXIT } from './context.js';
import { addConvertCommand } from './convertCommand.js';
import { addDemoCommand } from './demoCommand.js';
import { addBuildCommand, addDoctorCommand } from './doctorCommand.js';
import { addEvaluateCommand } from './evaluateCommand.js';
import { withFlagName } from './flagNames.js';
import { addGenerateCommand } from './generateCommand.js';
import { addPlanCommand } from './planCommand.js';
import { addReportCommand } from './reportCommand.js';
import { addScheduleCommand } from './scheduleCommand.js';
import { addTrainCommand } from './trainCommand.js';

/** The package's version, from its package.json. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

function createProgram(context: CliContext, exit: (status: number) => void): Command {
  const program = new Command('tlora')
    .description('Fine-tune a text-to-image diffusion model on one picture with T-LoRA.')
    .version(packageVersion(), '--version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      getOutHelpWidth: () => context.out.columns ?? 80,
      getErrHelpWidth: () => context.err.columns ?? 80,
    })
    .showHelpAfterError('Run it with --help for all options.');
  addDemoCommand(program, context, exit);
  addTrainCommand(program, context, exit);
  addGenerateCommand(program, context, exit);
  addEvaluateCommand(program, context, exit);
  addReportCommand(program, context, exit);
  addConvertCommand(program, context, exit);
  addPlanCommand(program, context);
  addScheduleCommand(program, context);
  addDoctorCommand(program, context, exit);
  addBuildCommand(program, context, exit);
  return program;
}

/** Names at the head of messages that are those of flags. */
const OPTIONS = [
  ...trainOptionNames,
  ...generateOptionNames,
  ...convertOptionNames,
  'pictures',
  'run',
  'runs',
  'prompts',
];

function reportError(error: unknown, { err, env }: CliContext): number {
  if (error instanceof CommanderError) {
    if (error.code === 'commander.missingArgument' && error.message.includes('picture')) {
      err.write('Put pictures before flags that take several values.\n');
    }
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (!(error instanceof Error)) {
    err.write(`error: ${error}\n`);
    return EXIT.failed;
  }
  if (error.name === 'AbortError') {
    err.write('aborted\n');
    return EXIT.interrupted;
  }
  err.write(`error: ${withFlagName(error.message, OPTIONS)}\n`);
  if (env.TLORA_DEBUG === '1')
    err.write(`${error.stack}\n${error.cause === undefined ? '' : `cause: ${error.cause}\n`}`);
  return error instanceof ConfigError ? EXIT.usage : EXIT.failed;
}

/**
 * Runs one command line.
 * @param args what stands after `tlora`
 * @returns the exit status: 0 ok, 1 failed, 2 bad usage or options, 130 after Ctrl-C
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  let status: number = EXIT.ok;
  const program = createProgram(context, (given) => {
    status = given;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return status;
  } catch (error) {
    return reportError(error, context);
  }
}
