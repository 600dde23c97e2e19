import type { Command } from 'commander';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { abortOnInterrupt } from './interrupt.js';
import { parseNumber } from './numbers.js';
import { addOutputOptions } from './outputOptions.js';
import { requireFlags } from './requiredFlags.js';

type ReportFlags = OutputOptions & {
  run: string[];
  out?: string;
  prompt?: string[];
  count?: number;
  steps?: number;
  seed?: number;
  threads?: number;
};

async function runReport(context: CliContext, flags: ReportFlags): Promise<number> {
  const { json, quiet, progress = true, run: runs, prompt: prompts, ...options } = flags;
  const { report } = await context.parts.report();
  const interrupt = abortOnInterrupt(context);
  const tell = (done: number, all: number): void => {
    if (!quiet && progress) context.err.write(`pictures: ${done} of ${all}\n`);
  };
  try {
    const path = await report({ ...options, runs, prompts, signal: interrupt.signal, onProgress: tell });
    context.out.write(json ? `${JSON.stringify({ path })}\n` : `${path}\n`);
    return EXIT.ok;
  } finally {
    interrupt.end();
  }
}

const another = (run: string, earlier: string[] = []): string[] => [...earlier, run];

/** `tlora report`: a page on one run, or on several side by side. */
export function addReportCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const command = program
    .command('report')
    .description('write one HTML page on a run, or on several side by side; prints its path')
    .option('--run <dir>', 'folder of a run; again for each further run', another)
    .option('--out <file>', 'the page (default: report.html in the first run’s folder)')
    .option('--prompt <text...>', 'make pictures for these with every run (default: those made during training)')
    .option('--count <n>', 'pictures for each prompt (default: 2)', parseNumber)
    .option('--steps <n>', 'sampler steps (default: 25)', parseNumber)
    .option('--seed <n>', 'a whole number (default: 0)', parseNumber)
    .option('--threads <n>', 'CPU threads (default: all cores)', parseNumber);
  requireFlags(addOutputOptions(command), ['run']).action(async (flags: ReportFlags) =>
    exit(await runReport(context, flags)),
  );
}
