// The model to measure on: a given folder, or one with random weights that is made once and kept.
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Shapes by their short names: the shape of scripts/make-random-model.mjs, and the settings of their usual step. */
export const STEP_SHAPES = {
  sd15: { shape: 'sd15', resolution: 512, rank: 64 },
  sdxl: { shape: 'sdxl', resolution: 512, rank: 64 },
  tiny: { shape: 'tiny-sd15', resolution: 128, rank: 8 },
  mini: { shape: 'mini', resolution: 64, rank: 16 },
} as const;

export type StepShape = keyof typeof STEP_SHAPES;

/** Files of measurements, none of them tracked. */
export const BENCH_FOLDER: string = fileURLToPath(new URL('../../build/bench/', import.meta.url));

/** The folder of a model with random float16 weights. It is made by another process, so that this one's peak memory does not count it. */
export function randomModel(shape: string): string {
  const dir = join(BENCH_FOLDER, shape);
  if (existsSync(join(dir, 'model_index.json'))) return dir;
  const script = fileURLToPath(new URL('../../scripts/make-random-model.mjs', import.meta.url));
  const unfinished = `${dir}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  console.error(`making a random ${shape} model in ${dir}`);
  execFileSync(process.execPath, [script, '--shape', shape, '--out', unfinished], { stdio: 'inherit' });
  rmSync(dir, { recursive: true, force: true });
  renameSync(unfinished, dir);
  return dir;
}
