import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../../lib/pipeline/openModel.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { resolveTrainOptions } from '../../lib/train/options.js';
import { type PreparedRun, prepareRun } from '../../lib/train/prepareRun.js';
import { filesIn, tinyTraining, valuesOf, writePhoto } from './tinyTraining.js';

const tiny = tinyTraining('tiny-sdxl', 'float16');

beforeAll(async () => {
  await writePhoto(tiny.at('wide.png'), 160, 90);
  await writePhoto(tiny.at('tall.png'), 70, 140);
  await sharp(tiny.at('wide.png')).withMetadata({ orientation: 6 }).jpeg().toFile(tiny.at('rotated.jpg'));
});

/** What a run reads before its first step, without taking it. */
async function prepared(out: string, more: Partial<TrainOptions>): Promise<PreparedRun> {
  const { signal } = new AbortController();
  const control = { signal, stopRequested: false, emit: () => {}, started: () => {} };
  const run = await prepareRun(resolveTrainOptions(tiny.options(out, more)), control);
  run.dispose();
  return run;
}

const timeIds = (run: PreparedRun, picture: number): number[] => [...run.pictureFeeds([picture]).timeIds!];

describe('SDXL’s size conditions', () => {
  it('are original size, crop after scaling the short side to the resolution, and target size', async () => {
    const images = ['photo.png', 'wide.png', 'tall.png'].map((name) => tiny.at(name));
    const run = await prepared('sizes', { images });
    expect(timeIds(run, 0)).toEqual([80, 96, 0, 6, 64, 64]); // 96 × 80 scaled by 64/80 is 77 wide
    expect(timeIds(run, 1)).toEqual([90, 160, 0, 25, 64, 64]); // 160 × 90 scaled by 64/90 is 114 wide
    expect(timeIds(run, 2)).toEqual([140, 70, 32, 0, 64, 64]); // 70 × 140 scaled by 64/70 is 128 high
    expect([...run.pictureFeeds([2, 0]).timeIds!]).toEqual([140, 70, 32, 0, 64, 64, 80, 96, 0, 6, 64, 64]);
  });

  it('are those of the photo turned upright', async () => {
    const run = await prepared('upright', { images: [tiny.at('rotated.jpg')] });
    expect(timeIds(run, 0)).toEqual([160, 90, 25, 0, 64, 64]);
  });
});

describe('several pictures', () => {
  it('are shown in turn, each with its caption', async () => {
    const images = ['photo.png', 'wide.png', 'tall.png'].map((name) => tiny.at(name));
    const captions = ['a {0} asleep', 'a {0} in the snow', 'a {0}'];
    const run = await prepared('captions', { images, captions, batch: 2 });
    expect([1, 2, 3].map((step) => run.draw(step)[0]!.pictures)).toEqual([
      [0, 1],
      [2, 0],
      [1, 2],
    ]);
    const of = (name: string, pictures: number[]): Float32Array => run.pictureFeeds(pictures)[name] as Float32Array;
    for (const name of ['encoderHiddenStates', 'textEmbeds', 'latentMean']) {
      const [first, second, third] = [0, 1, 2].map((picture) => of(name, [picture]));
      expect(first).not.toEqual(second);
      expect(second).not.toEqual(third);
      expect(of(name, [2, 0])).toEqual(Float32Array.from([...third!, ...first!]));
    }
  });

  it('train to the end: batch 2 over 3 pictures', async () => {
    const images = ['photo.png', 'rotated.jpg', 'tall.png'].map((name) => tiny.at(name));
    const captions = ['a {0} asleep', 'a {0} in the snow', 'a {0}'];
    const result = await tiny.run('three', { images, captions, batch: 2, accumulate: 2, steps: 4 });
    expect(result.steps).toBe(4);
    expect(filesIn(tiny.at('three'))).toEqual(['adapter.safetensors', 'config.json', 'log.jsonl', 'state.safetensors']);
    const config = JSON.parse(readFileSync(tiny.at('three', 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ images, captions, batch: 2, accumulate: 2 });
  });

  it('resume in the order of the whole run', async () => {
    const images = ['photo.png', 'tall.png', 'wide.png'].map((name) => tiny.at(name));
    await tiny.run('turns', { images, accumulate: 2, steps: 4 });
    await tiny.run('parts', { images, accumulate: 2, steps: 1 });
    await tiny.run('parts', { images, accumulate: 2, steps: 4, resume: true });
    expect(valuesOf(tiny.at('parts'))).toEqual(valuesOf(tiny.at('turns')));
  });
});

describe('a picture', () => {
  it('may be a path, a URL or bytes: the run is the same', async () => {
    const path = tiny.at('photo.png');
    const given: Record<string, Partial<TrainOptions>> = {
      path: { image: path },
      url: { image: pathToFileURL(path) },
      bytes: { image: new Uint8Array(readFileSync(path)) },
    };
    for (const [out, image] of Object.entries(given)) await tiny.run(out, { ...image, steps: 1 });
    expect(valuesOf(tiny.at('url')).state).toEqual(valuesOf(tiny.at('path')).state);
    expect(valuesOf(tiny.at('bytes')).state).toEqual(valuesOf(tiny.at('path')).state);
    await tiny.run('bytes', { ...given.bytes, steps: 2, resume: true });
    const other = { image: new Uint8Array(readFileSync(tiny.at('wide.png'))) };
    await expect(tiny.run('bytes', { ...other, steps: 3, resume: true })).rejects.toThrow(/^images: expected .*sha256/);
  });

  it('gives latents at the resolution over the autoencoder’s factor', async () => {
    const run = await prepared('latents', { resolution: 96 });
    expect(run.pictureFeeds([0]).latentMean).toHaveLength(12 * 12 * 4);
    expect(openModel(tiny.model).kind).toBe('sdxl');
  });
});
