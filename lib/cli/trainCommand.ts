import { type Command, Option } from 'commander';
import { ConfigError } from '../errors.js';
import type { TrainOptions } from '../train/options.js';
import type { TrainResult } from '../train/train.js';
import type { TrainingRun } from '../train/trainingRun.js';
import { type CliContext, EXIT, type OutputOptions } from './context.js';
import { addAlgorithmOptions, addDeviceOptions } from './deviceOptions.js';
import { formatDuration } from './formats.js';
import { addModelOptions } from './modelOptions.js';
import { parseNumber } from './numbers.js';
import { addOutputOptions } from './outputOptions.js';
import { createProgress, type Progress } from './progress.js';
import { requireFlags } from './requiredFlags.js';

type TrainFlags = Omit<TrainOptions, 'className' | 'outputDir' | 'images' | 'captions' | 'sample' | 'watch'> &
  OutputOptions & {
    class: string;
    out?: string;
    caption?: string[];
    sampleEvery?: number;
    samplePrompt?: string[];
  } & WatchFlags;

interface WatchFlags {
  watch?: boolean;
  watchEvery?: number;
  watchDraws?: number;
  watchSamples?: number;
  watchPrompt?: string;
}

/** Any of the flags switches the watch on. */
function watchOptions(flags: WatchFlags): Pick<TrainOptions, 'watch'> {
  const { watch, watchEvery: every, watchDraws: draws, watchSamples: samples, watchPrompt: prompt } = flags;
  const given = Object.entries({ every, draws, samples, prompt }).filter(([, value]) => value !== undefined);
  if (given.length === 0) return watch ? { watch } : {};
  return { watch: Object.fromEntries(given) };
}

/** The flags as options of `train`. */
export function trainOptions(pictures: string[], flags: TrainFlags): TrainOptions {
  const { watch, watchEvery, watchDraws, watchSamples, watchPrompt, ...others } = flags;
  const { class: className, out, caption, sampleEvery, samplePrompt, json, quiet, progress, ...same } = others;
  if (samplePrompt && sampleEvery === undefined) {
    throw new ConfigError('--sample-prompt: expected --sample-every with it', {
      hint: 'Such as: --sample-every 100 --sample-prompt "a {0} in the snow"',
    });
  }
  const prompts = samplePrompt ?? [flags.prompt ?? 'a photo of {0}'];
  return {
    ...same,
    className,
    images: pictures,
    ...(out === undefined ? {} : { outputDir: out }),
    ...(caption === undefined ? {} : { captions: caption }),
    ...(sampleEvery === undefined ? {} : { sample: { every: sampleEvery, prompts } }),
    ...watchOptions(flags),
  };
}

/** First Ctrl-C: finish the step, save, leave. Second: discard the step and leave. Third: Node's own. */
function watchInterrupts(
  context: CliContext,
  run: TrainingRun<TrainResult>,
  progress: Progress,
): { count: number; end(): void } {
  const watch = {
    count: 0,
    end: context.onInterrupt(() => {
      watch.count++;
      if (watch.count === 1) {
        progress.note('stopping: this step is finished and saved (Ctrl-C again discards it)');
        run.stop().catch(() => {}); // the command awaits the run itself
      } else {
        run.abort();
        watch.end(); // a third one ends the process, as always
      }
    }),
  };
  return watch;
}

function watchText({ best, copyingFrom }: NonNullable<TrainResult['watch']>): string {
  if (!best) return 'nothing was watched: the run was stopped before';
  const copying = copyingFrom === null ? 'no copying seen' : `copying starts at step ${copyingFrom}`;
  return `${copying}; best checkpoint: step ${best.step}, ${best.path}`;
}

async function runTrain(context: CliContext, pictures: string[], flags: TrainFlags): Promise<number> {
  const { train } = await context.parts.train();
  const progress = createProgress(context, flags);
  const run = train({ ...trainOptions(pictures, flags), onEvent: progress.event });
  const interrupts = watchInterrupts(context, run, progress);
  try {
    const result = await run;
    progress.end();
    const { steps, finalLoss, durationMs, stopReason } = result;
    progress.note(
      `${stopReason} after ${steps} ${steps === 1 ? 'step' : 'steps'}, loss ${finalLoss.toFixed(4)}, ${formatDuration(durationMs)}`,
    );
    if (result.watch) progress.note(watchText(result.watch));
    context.out.write(`${flags.json ? JSON.stringify(result) : result.adapterPath}\n`);
    return interrupts.count > 0 ? EXIT.interrupted : EXIT.ok;
  } finally {
    progress.end();
    interrupts.end();
  }
}

/** `tlora train`: a flag for each option of `train`. */
export function addTrainCommand(program: Command, context: CliContext, exit: (status: number) => void): void {
  const number = parseNumber;
  const choice = (flags: string, text: string, choices: string[]): Option => new Option(flags, text).choices(choices);
  const command = addModelOptions(
    program
      .command('train')
      .description('fine-tune a model on one picture (or a few); prints the path of the adapter')
      .argument('<picture...>', 'PNG, JPEG, WebP or AVIF files'),
  )
    .option('--class <name>', 'what the picture shows, such as dog')
    .option('--token <word>', 'the rare word that will stand for the subject (default: sks)')
    .option('--prompt <text>', '{0} stands for "token class" (default: "a photo of {0}")')
    .option('--caption <text...>', 'one prompt for each picture, instead of --prompt')
    .option('--out <dir>', 'run folder (default: runs/tlora)')
    .option('--steps <n>', 'optimizer steps (default: 800 for tlora and ortho, 500 for lora and vanilla)', number)
    .option('--resolution <pixels>', 'side of the square training picture (default: the model’s own)', number)
    .addOption(choice('--variant <name>', 'kind of adapter (default: tlora)', ['tlora', 'vanilla', 'ortho', 'lora']))
    .option('--rank <n>', 'components of each adapter (default: 64)', number)
    .option('--min-rank <n>', 'components active at the highest noise (default: half the rank)', number)
    .option('--alpha <x>', 'exponent of the rank schedule (default: 1)', number)
    .addOption(choice('--start <from>', 'source of an orthogonal start (default: random)', ['random', 'weight']))
    .addOption(
      choice('--components <which>', 'singular components of the start (default: last)', [
        'last',
        'middle',
        'principal',
      ]),
    )
    .addOption(choice('--frames <kind>', 'distribution of random frames (default: haar)', ['haar', 'reference']))
    .addOption(
      choice('--orthogonal <when>', 'only at the start, or after each step (default: init)', ['init', 'retract']),
    )
    .option('--learning-rate <x>', 'of AdamW (default: 1e-4)', number)
    .option('--weight-decay <x>', 'of AdamW (default: 1e-4)', number)
    .option('--batch <n>', 'samples a step (default: 1)', number)
    .option('--accumulate <n>', 'batches summed into one optimizer step (default: 1)', number)
    .option('--clip <x>', 'largest norm of the gradient (default: no clipping)', number)
    .option('--seed <n>', 'a whole number (default: 0)', number)
    .option('--sample-every <n>', 'make pictures every so many steps', number)
    .option('--sample-prompt <text...>', 'prompts of those pictures (default: --prompt)')
    .option('--watch', 'overfit meter: says when copying starts, and keeps the best checkpoint')
    .option('--watch-every <n>', 'steps between (default: a twentieth of all)', number)
    .option('--watch-draws <n>', 'losses in each of 5 bands of timesteps (default: 2)', number)
    .option('--watch-samples <n>', 'also makes so many pictures each time (default: none)', number)
    .option('--watch-prompt <text>', 'of these pictures (default: --prompt)')
    .option('--save-every <n>', 'save a checkpoint every so many steps', number)
    .option('--resume', 'go on from the checkpoint in --out')
    .option('--overwrite', 'replace the files of an earlier run in --out')
    .option('--compact', 'write only the seed of an orthogonal start into the adapter file')
    .addOption(
      choice('--dtype <type>', 'type of the adapter file (default: float32)', ['float32', 'float16', 'bfloat16']),
    )
    .option('--memory <size>', 'all that may be allocated, such as 9GB; less than needed is met by recomputing')
    .option('--threads <n>', 'CPU threads (default: all cores)', number);
  requireFlags(addOutputOptions(addAlgorithmOptions(addDeviceOptions(command))), ['model', 'class']).action(
    async (pictures: string[], flags: TrainFlags) => exit(await runTrain(context, pictures, flags)),
  );
}
