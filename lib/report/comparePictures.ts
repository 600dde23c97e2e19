import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from '../generate/generate.js';
import { type EmbeddedPicture, embedPicture } from '../io/pictureUri.js';
import { modelOfRun } from '../train/runFolder.js';
import type { PictureRow } from './page.js';
import type { RunFacts } from './runFacts.js';

export interface CompareOptions {
  /** `{0}` stands for each run's "token class". */
  readonly prompts: readonly string[];
  /** Pictures of each prompt from each run. */
  readonly count: number;
  readonly steps: number;
  /** Picture i uses seed + i, in every run. */
  readonly seed: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears after each prompt of each run. */
  readonly onProgress?: ((done: number, all: number) => void) | undefined;
}

/** Makes pictures with the adapter of each run for the same prompts, from the same noise. */
export async function comparePictures(runs: readonly RunFacts[], options: CompareOptions): Promise<PictureRow[]> {
  const { prompts, count, steps, seed, threads, signal, onProgress } = options;
  const scratch = mkdtempSync(join(tmpdir(), 'tlora-report-'));
  const rows: PictureRow[] = [];
  let done = 0;
  const of = async (run: RunFacts, prompt: string): Promise<EmbeddedPicture[]> => {
    const { pictures } = await generate({
      ...{ prompt, count, steps, seed, threads, signal },
      ...modelOfRun(run.config),
      adapter: run.folder.adapterPath,
      outputDir: join(scratch, String(done)),
    });
    const all: EmbeddedPicture[] = [];
    for (const { path } of pictures) all.push(await embedPicture(path));
    onProgress?.(++done, prompts.length * runs.length);
    return all;
  };
  try {
    for (const prompt of prompts) {
      const cells: PictureRow['cells'][number][] = [];
      for (const run of runs) cells.push({ label: run.label, colour: run.colour, pictures: await of(run, prompt) });
      rows.push({ prompt, cells });
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return rows;
}
