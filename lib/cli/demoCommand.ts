import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { DemoOptions } from '../demo/demo.js';
import { ConfigError } from '../errors.js';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { abortOnInterrupt } from './interrupt.js';
import { parseNumber } from './numbers.js';
import { addOutputOptions } from './outputOptions.js';
import { createProgress } from './progress.js';

type DemoFlags = OutputOptions & { class?: string; out?: string } & Pick<
    DemoOptions,
    'image' | 'steps' | 'pictures' | 'rank' | 'seed' | 'threads' | 'model' | 'evaluators'
  >;

async function runDemo(context: CliContext, flags: DemoFlags): Promise<number> {
  const { json, quiet, progress: _shown, class: className, out, ...options } = flags;
  const { demo, tableText, MINI_DIR } = await context.parts.demo();
  const model = options.model ?? MINI_DIR;
  if (!existsSync(join(model, 'model_index.json')))
    throw new ConfigError(`--model: expected a folder with model_index.json, found none at ${model}`);
  const progress = createProgress(context, flags);
  const interrupt = abortOnInterrupt(context);
  try {
    const { table, reportPath, seconds } = await demo({
      ...{ ...options, className, dir: out ?? join('runs', 'demo'), signal: interrupt.signal },
      onNote: (text) => {
        progress.end();
        progress.note(text);
      },
      onEvent: (event) => {
        if (event.type !== 'device' && event.type !== 'forecast') progress.event(event);
      },
    });
    progress.end();
    if (json) context.out.write(`${JSON.stringify({ table, reportPath, seconds })}\n`);
    else if (table) context.out.write(`\n${tableText(table)}\n\n${table.note}\n`);
    else progress.note(`no figures: no evaluators in ${options.evaluators ?? 'the package'}`);
    progress.note(`\nDone in ${seconds.toFixed(0)} s. Open ${resolve(reportPath)} in a browser.`);
    return EXIT.ok;
  } finally {
    progress.end();
    interrupt.end();
  }
}

/** `tlora demo`: LoRA and T-LoRA on one picture, side by side, with the package's own model. */
export function addDemoCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const command = program
    .command('demo')
    .description('train LoRA and T-LoRA on one picture with the small model of the package, and compare them')
    .option('--image <file>', 'a picture of your own (default: a novel sprite)')
    .option('--class <word>', 'what it shows, a word that the mini model knows (default: creature)')
    .option('--steps <n>', 'training steps of each side (default: 400)', parseNumber)
    .option('--pictures <n>', 'pictures of each side, at most 12 (default: 12)', parseNumber)
    .option('--rank <n>', '(default: 16)', parseNumber)
    .option('--seed <n>', '(default: 1)', parseNumber)
    .option('--threads <n>', 'CPU threads (default: all cores)', parseNumber)
    .option('--model <dir>', "another folder of the mini model's kind (default: the package's)")
    .option('--evaluators <dir>', "folder of evaluators (default: the package's)")
    .option(
      '--out <dir>',
      'folder of all that it makes; replaces what an earlier demo made there (default: runs/demo)',
    );
  addOutputOptions(command).action(async (flags: DemoFlags) => exit(await runDemo(context, flags)));
}
