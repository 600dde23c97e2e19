import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll } from 'vitest';
import type { TrainEvent } from '../../lib/train/events.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { type TrainResult, train } from '../../lib/train/train.js';
import type { TrainingRun } from '../../lib/train/trainingRun.js';

interface MakeModel {
  makeModel(settings: { shape: string; out: string; dtype: string; seed: number }): void;
}

/** A tiny pipeline and a photo in a folder of their own, for the tests of one file. */
export interface TinyTraining {
  readonly model: string;
  readonly photo: string;
  /** A path in the folder. */
  at(...parts: string[]): string;
  /** Options of a short run into the folder `out`. */
  options(out: string, more?: Partial<TrainOptions>): TrainOptions;
  run(out: string, more?: Partial<TrainOptions>): TrainingRun<TrainResult>;
}

/** Pixels without any regularity, as a PNG file. */
export async function writePhoto(path: string, width: number, height: number): Promise<void> {
  const pixels = Buffer.from(Array.from({ length: width * height * 3 }, (_, i) => (i * 7919 + (i >> 7) * 31) % 256));
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

/** Makes a random pipeline of a shape of scripts/model-shapes.mjs. */
export async function writeModel(out: string, shape = 'tiny-sd15', dtype = 'float32'): Promise<void> {
  const script = new URL('../../scripts/make-random-model.mjs', import.meta.url).href;
  const { makeModel } = (await import(script)) as MakeModel;
  makeModel({ shape, out, dtype, seed: 0 });
}

/** Sets the folder up before the tests of a file and removes it after them. */
export function tinyTraining(shape = 'tiny-sd15', dtype = 'float32'): TinyTraining {
  let dir = '';
  const at = (...parts: string[]): string => join(dir, ...parts);
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tlora-train-'));
    await writeModel(at('model'), shape, dtype);
    await writePhoto(at('photo.png'), 96, 80);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const options = (out: string, more: Partial<TrainOptions> = {}): TrainOptions => ({
    model: at('model'),
    ...(more.images ? {} : { image: at('photo.png') }),
    className: 'dog',
    rank: 4,
    steps: 2,
    resolution: 64,
    threads: 2,
    device: 'cpu',
    learningRate: 1e-2,
    outputDir: at(out),
    ...more,
  });
  return {
    get model() {
      return at('model');
    },
    get photo() {
      return at('photo.png');
    },
    at,
    options,
    run: (out, more) => train(options(out, more)),
  };
}

/** All events of a run, once it has ended well. */
export async function eventsOf(run: TrainingRun<unknown>): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of run) events.push(event);
  return events;
}

/** Lines of a run's log, without their times. */
export function logOf(dir: string): Record<string, unknown>[] {
  return readFileSync(join(dir, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { stepMs: _stepMs, ...rest } = JSON.parse(line) as Record<string, unknown>;
      return rest;
    });
}

/** Content of the files that hold a run's values. */
export function valuesOf(dir: string): { state: Buffer; adapter: Buffer } {
  return {
    state: readFileSync(join(dir, 'state.safetensors')),
    adapter: readFileSync(join(dir, 'adapter.safetensors')),
  };
}

/** Names below a folder, in order. */
export function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true }).map(String).sort();
}
