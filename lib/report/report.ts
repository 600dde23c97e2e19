import { dirname } from 'node:path';
import { z } from 'zod';
import { AbortError, ConfigError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { makeFolder } from '../io/outputFolder.js';
import { checkOptions } from '../options/checkOptions.js';
import { signal as signalField, text, whole } from '../options/fields.js';
import { comparePictures } from './comparePictures.js';
import { nextCommands } from './nextCommands.js';
import { type PictureRow, reportPage } from './page.js';
import { type RunFacts, readRunFacts, reportPath } from './runFacts.js';

export interface ReportOptions {
  /** Folders of one to six runs. */
  readonly runs: readonly string[];
  /** Where the page goes; default `report.html` in the first run's folder. */
  readonly out?: string | undefined;
  /** Makes pictures for these with every run, from the same noise; default: shows what was made during training. */
  readonly prompts?: readonly string[] | undefined;
  /** Pictures for each prompt; default 2. */
  readonly count?: number | undefined;
  /** Sampler steps; default 25. */
  readonly steps?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears after each prompt of each run. */
  readonly onProgress?: ((done: number, all: number) => void) | undefined;
}

/** The page has that many colours for runs. */
const MOST_RUNS = 6;

const schema = z.strictObject({
  runs: z.array(text, { error: 'expected a list of folders' }),
  out: text.optional(),
  prompts: z.array(text, { error: 'expected a list of texts' }).default([]),
  count: whole(1).default(2),
  steps: whole(1).default(25),
  seed: whole(0).default(0),
  threads: whole(1).optional(),
  signal: signalField.optional(),
  onProgress: z
    .custom<(done: number, all: number) => void>((v) => typeof v === 'function', 'expected a function')
    .optional(),
});

/** Last pictures that were made during training, side by side where the prompts are the same. */
function trainingRows(runs: readonly RunFacts[]): PictureRow[] {
  const prompts = [...new Set(runs.flatMap(({ samples }) => samples.map(({ prompt }) => prompt)))];
  return prompts.map((prompt) => ({
    prompt,
    cells: runs.flatMap(({ samples, colour, label }) => {
      const own = samples.filter((sample) => sample.prompt === prompt);
      return own.length === 0 ? [] : [{ label, colour, pictures: own.map(({ picture }) => picture) }];
    }),
  }));
}

/**
 * Writes one self-contained HTML page on one run, or on several side by side.
 * @returns its path
 * @throws (by rejecting) ConfigError for no run or more than six, or a folder without one; FileFormatError, FileWriteError; and what
 * `generate` throws
 */
export async function report(options: ReportOptions): Promise<string> {
  const { runs: dirs, prompts, signal, onProgress, ...wish } = checkOptions('report', schema, options);
  const [first] = dirs;
  if (first === undefined || dirs.length > MOST_RUNS)
    throw new ConfigError(`runs: expected 1 to ${MOST_RUNS} folders of runs, got ${dirs.length}`);
  const [idle] = (['count', 'steps', 'seed'] as const).filter((name) => options[name] !== undefined);
  if (idle !== undefined && prompts.length === 0)
    throw new ConfigError(`${idle}: expected prompts with it, got none`, {
      hint: 'Without prompts no pictures are made.',
    });
  if (signal?.aborted) throw new AbortError(signal.reason);
  const runs: RunFacts[] = [];
  for (const [colour, dir] of dirs.entries()) runs.push(await readRunFacts(dir, colour));
  const out = wish.out ?? reportPath(first);
  makeFolder(dirname(out)); // before the pictures
  const rows =
    prompts.length > 0 ? await comparePictures(runs, { prompts, ...wish, signal, onProgress }) : trainingRows(runs);
  const page = reportPage({
    title: runs.length === 1 ? `Run ${runs[0]!.label}` : `${runs.length} runs compared`,
    lead: `tlora: ${String(runs[0]!.config.className)}, from one picture.`,
    ...{ runs, rows },
    rowsNote:
      prompts.length > 0
        ? 'Every run with the same prompts, from the same noise.'
        : 'The last pictures that were made during training.',
    tables: [],
    commands: nextCommands(runs[0]!),
  });
  await writeFileAtomic(out, page);
  return out;
}
