import {
  appendFileSync,
  closeSync,
  cpSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, FileFormatError } from '../../lib/errors.js';
import { readSafetensorsHeader } from '../../lib/io/safetensors.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { logOf, tinyTraining, valuesOf, writePhoto } from './tinyTraining.js';

const tiny = tinyTraining();

const settings: Record<string, Partial<TrainOptions>> = {
  plain: {},
  lora: { variant: 'lora' },
  'accumulate 2': { accumulate: 2 },
  'accumulate 2, batch 2': { accumulate: 2, batch: 2 },
  retract: { orthogonal: 'retract' },
  'retract, accumulate 2': { orthogonal: 'retract', accumulate: 2 },
  clip: { clip: 0.01 },
};

function expectSame(a: string, b: string): void {
  const [one, other] = [valuesOf(tiny.at(a)), valuesOf(tiny.at(b))];
  expect(one.state.equals(other.state)).toBe(true);
  expect(one.adapter.equals(other.adapter)).toBe(true);
  expect(logOf(tiny.at(a))).toEqual(logOf(tiny.at(b)));
}

describe('a resumed run', () => {
  beforeAll(async () => {
    await tiny.run('changed', { steps: 1 });
  });

  const names = { 1: ['plain', 'retract, accumulate 2'], 2: Object.keys(settings) };
  for (const threads of [1, 2] as const) {
    for (const name of names[threads]) {
      it(`of 2 and 3 steps is the run of 5, bit for bit: ${name}, ${threads} threads`, async () => {
        const more = { ...settings[name], threads };
        const [whole, parts] = [`whole ${threads} ${name}`, `parts ${threads} ${name}`];
        await tiny.run(whole, { ...more, steps: 5 });
        await tiny.run(parts, { ...more, steps: 2 });
        expect(valuesOf(tiny.at(parts)).state.equals(valuesOf(tiny.at(whole)).state)).toBe(false);
        expect(await tiny.run(parts, { ...more, steps: 5, resume: true })).toMatchObject({ steps: 5 });
        expectSame(whole, parts);
      });
    }
  }

  it('is the same when all of it runs twice', async () => {
    await tiny.run('once', { steps: 3 });
    await tiny.run('again', { steps: 3 });
    expectSame('once', 'again');
  });

  it('goes back to the last checkpoint when the process was killed between two', async () => {
    await tiny.run('whole', { steps: 4 });
    await tiny.run('killed', { steps: 2 });
    appendFileSync(tiny.at('killed', 'log.jsonl'), '{"step":3,"loss":9}\n{"step":4,"lo');
    await tiny.run('killed', { steps: 4, resume: true });
    expectSame('whole', 'killed');
    expect(logOf(tiny.at('killed')).map((line) => line.step)).toEqual([1, 2, 3, 4]);
  });

  it.each<[string, Partial<TrainOptions>]>([
    ['rank', { rank: 5, minRank: 2 }],
    ['learningRate', { learningRate: 1 }],
    ['seed', { seed: 1 }],
    ['variant', { variant: 'ortho' }],
    ['prompt', { prompt: 'a {0}' }],
    ['clip', { clip: 1 }],
    ['batch', { batch: 2 }],
    ['images', { images: [new Uint8Array(8)] }],
  ])('refuses another %s, by name, and leaves the run as it is', async (name, changed) => {
    const out = 'changed';
    const before = valuesOf(tiny.at(out));
    const config = readFileSync(tiny.at(out, 'config.json'), 'utf8');
    const run = tiny.run(out, { steps: 2, resume: true, ...changed });
    await expect(run).rejects.toThrow(ConfigError);
    await expect(run).rejects.toThrow(new RegExp(`^${name}: expected .*, as in the run to go on with, got `));
    expect(valuesOf(tiny.at(out))).toEqual(before);
    expect(readFileSync(tiny.at(out, 'config.json'), 'utf8')).toBe(config);
  });

  it('refuses pictures and models whose files have changed, and takes those of another time', async () => {
    cpSync(tiny.model, tiny.at('own model'), { recursive: true });
    cpSync(tiny.photo, tiny.at('own.png'));
    const more = { model: tiny.at('own model'), image: tiny.at('own.png') };
    await tiny.run('contents', { ...more, steps: 1 });
    await writePhoto(tiny.at('own.png'), 90, 80);
    await expect(tiny.run('contents', { ...more, resume: true })).rejects.toThrow(
      /^images: expected the contents that the run to go on with began with, got others in .*own\.png/,
    );
    cpSync(tiny.photo, tiny.at('own.png'));
    for (const part of ['unet', 'vae']) {
      const path = tiny.at('own model', part, 'diffusion_pytorch_model.safetensors');
      const { offset } = readSafetensorsHeader(path).tensors.get(
        part === 'unet' ? 'conv_in.weight' : 'quant_conv.weight',
      )!;
      const file = openSync(path, 'r+');
      const bytes = Buffer.alloc(4);
      readSync(file, bytes, 0, 4, offset);
      writeSync(file, Buffer.alloc(4), 0, 4, offset);
      await expect(tiny.run('contents', { ...more, resume: true })).rejects.toThrow(
        /^model: expected the contents.*own model/,
      );
      writeSync(file, bytes, 0, 4, offset);
      closeSync(file);
    }
    const merges = tiny.at('own model', 'tokenizer', 'merges.txt');
    const text = readFileSync(merges, 'utf8');
    const lines = text.trimEnd().split('\n');
    writeFileSync(merges, [...lines.slice(0, -2), lines.at(-1), lines.at(-2)].join('\n'));
    await expect(tiny.run('contents', { ...more, resume: true })).rejects.toThrow(/^model: expected the contents/);
    writeFileSync(merges, text);
    writeFileSync(tiny.at('own model', 'tokenizer', 'added_tokens.json'), '{"<dog>": 1}');
    await expect(tiny.run('contents', { ...more, resume: true })).rejects.toThrow(/^model: expected the contents/);
    rmSync(tiny.at('own model', 'tokenizer', 'added_tokens.json'));
    await tiny.run('contents', { ...more, resume: true });
    const config = tiny.at('contents', 'config.json');
    const {
      modelDigest: _m,
      tokenizerDigest: _t,
      imageDigests: _i,
      ...earlier
    } = JSON.parse(readFileSync(config, 'utf8'));
    writeFileSync(config, JSON.stringify(earlier));
    expect(await tiny.run('contents', { ...more, steps: 3, resume: true })).toMatchObject({ steps: 3 });
  });

  it('needs a run, its state, and steps that are left', async () => {
    await expect(tiny.run('nowhere', { resume: true })).rejects.toThrow(/resume: expected a run in .*nowhere/);
    await tiny.run('done', { steps: 1 });
    await expect(tiny.run('done', { steps: 1, resume: true })).rejects.toThrow(
      'steps: expected more than the 1 steps that this run has taken, got 1',
    );
    rmSync(tiny.at('done', 'state.safetensors'));
    await expect(tiny.run('done', { steps: 2, resume: true })).rejects.toThrow(/resume: expected the state of a run/);
  });

  it('refuses a damaged state', async () => {
    await tiny.run('damaged', { steps: 1 });
    const path = tiny.at('damaged', 'state.safetensors');
    truncateSync(path, statSync(path).size - 4);
    await expect(tiny.run('damaged', { steps: 2, resume: true })).rejects.toThrow(FileFormatError);
  });
});
