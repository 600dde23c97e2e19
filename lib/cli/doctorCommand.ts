import type { Command } from 'commander';
import { type CliContext, EXIT } from './context.js';

/** `tlora doctor`: what this machine has, and the fix for what it lacks. */
export function addDoctorCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  program
    .command('doctor')
    .description('check the addon, the processor, CUDA and memory, and name the fix for what is missing')
    .option('--json', 'print the findings as JSON')
    .action(async (flags: { json?: boolean }) => {
      const { doctor } = await context.parts.doctor();
      const report = await doctor();
      const width = Math.max(...report.findings.map(({ name }) => name.length));
      const lines = report.findings.map(({ name, ok, text, fix }) => {
        const mark = ok === undefined ? '·' : ok ? '✓' : '✗';
        return `${mark} ${name.padEnd(width)}  ${text}\n${fix === undefined ? '' : `  ${' '.repeat(width)}  → ${fix}\n`}`;
      });
      context.out.write(flags.json ? `${JSON.stringify(report)}\n` : lines.join(''));
      exit(report.ok ? EXIT.ok : EXIT.failed);
    });
}

/** `tlora build`: builds the addon where an install without scripts left it out. */
export function addBuildCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  program
    .command('build')
    .description('build the native addon (needed where install scripts did not run)')
    .action(async () => exit((await context.parts.build()) === 0 ? EXIT.ok : EXIT.failed));
}
