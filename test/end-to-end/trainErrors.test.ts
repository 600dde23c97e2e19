import { cpSync, existsSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import {
  ConfigError,
  DeviceError,
  FileFormatError,
  FileWriteError,
  NonFiniteError,
  OutOfMemoryError,
} from '../../lib/errors.js';
import { readSafetensorsHeader, readTensorFloat32 } from '../../lib/io/safetensors.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { filesIn, tinyTraining, valuesOf, writePhoto } from './tinyTraining.js';

/** What the machine is made to look like. */
const machine = vi.hoisted(() => ({ diskBytes: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const open: typeof real.open = async (...args) => {
    const file = await real.open(...args);
    const write = file.write.bind(file) as (bytes: Uint8Array, at: number, count: number) => Promise<unknown>;
    const limited = (bytes: Uint8Array, at: number, count: number): Promise<unknown> => {
      machine.diskBytes -= count;
      if (machine.diskBytes >= 0) return write(bytes, at, count);
      return Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
    };
    return Object.assign(file, { write: limited });
  };
  return { ...real, open };
});

afterEach(() => {
  machine.diskBytes = Number.POSITIVE_INFINITY;
  vi.restoreAllMocks();
});

const tiny = tinyTraining();

/** The values of a state are all finite. */
function expectGoodState(out: string, step: number): void {
  const file = readSafetensorsHeader(tiny.at(out, 'state.safetensors'));
  expect(file.metadata.step).toBe(`${step}`);
  for (const ref of file.tensors.values()) expect(readTensorFloat32(ref).every(Number.isFinite)).toBe(true);
  expect(openAdapter(tiny.at(out, 'adapter.safetensors')).info?.training.steps).toBe(step);
}

/** A copy of the model with one value of a weight replaced. */
function poisonedModel(name: string, component: string, key: string): string {
  cpSync(tiny.model, tiny.at(name), { recursive: true });
  const path = tiny.at(name, component);
  const { offset } = readSafetensorsHeader(path).tensors.get(key)!;
  const bytes = readFileSync(path, null as unknown as 'utf8') as unknown as Buffer;
  bytes.writeFloatLE(Number.NaN, offset);
  writeFileSync(path, bytes);
  return tiny.at(name);
}

describe('a loss that is not finite', () => {
  it('ends the run by the name of step, op and path, and keeps the values before that step', async () => {
    const run = tiny.run('huge', { learningRate: 1e25, steps: 9 });
    await expect(run).rejects.toThrow(NonFiniteError);
    await expect(run).rejects.toThrow(/^step 2: the loss is (?:NaN|Infinity): .*mergedLinear.*attn1\.to_q/s);
    await expect(run).rejects.toThrow(/values before step 2 are kept in .*huge\. Lower --learning-rate/);
    expectGoodState('huge', 1);
  });

  it('keeps what was saved before when the values themselves are infinite', async () => {
    await tiny.run('good', { steps: 2 });
    const config = tiny.at('good', 'config.json');
    writeFileSync(config, readFileSync(config, 'utf8').replace('"learningRate": 0.01', '"learningRate": 1e+39'));
    const more = { learningRate: 1e39, steps: 9, resume: true };
    await expect(tiny.run('good', more)).rejects.toThrow(/^step 4: .*no better and were not saved/s);
    expectGoodState('good', 2);
    await expect(tiny.run('good', { ...more, saveEvery: 3 })).rejects.toThrow(/^step 3: the trained values are not/);
    expectGoodState('good', 2);
    expect(filesIn(tiny.at('good')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('comes from a poisoned weight: op and path of the first step', async () => {
    const file = 'unet/diffusion_pytorch_model.safetensors';
    const key = 'mid_block.resnets.0.conv1.weight';
    const model = poisonedModel('poisoned', file, key);
    const run = tiny.run('first', { model });
    await expect(run).rejects.toThrow(/^step 1: the loss is NaN: .*conv2d.*mid_block\.resnets\.0\.conv1/s);
    await expect(run).rejects.toThrow(/Nothing was saved, as it is the first step/);
    expect(existsSync(tiny.at('first', 'state.safetensors'))).toBe(false);
  });

  it('comes from the autoencoder or the text encoder: before the folder is touched', async () => {
    const vae = poisonedModel('bad vae', 'vae/diffusion_pytorch_model.safetensors', 'encoder.conv_in.weight');
    await expect(tiny.run('x', { model: vae })).rejects.toThrow(/^encode: the autoencoder gives .*NaN/);
    const key = 'text_model.final_layer_norm.weight';
    const text = poisonedModel('bad text', 'text_encoder/model.safetensors', key);
    await expect(tiny.run('x', { model: text })).rejects.toThrow(/^encode: the text encoder gives .*NaN/);
    expect(existsSync(tiny.at('x'))).toBe(false);
  });
});

describe('a full disk', () => {
  beforeAll(async () => {
    await tiny.run('before', { steps: 2 });
    await tiny.run('whole', { steps: 4 });
  });

  /** Resumes to step 3 with `bytes` of room, which must fail. */
  async function failing(out: string, bytes: number): Promise<void> {
    cpSync(tiny.at('before'), tiny.at(out), { recursive: true });
    machine.diskBytes = bytes;
    const run = tiny.run(out, { steps: 3, resume: true });
    await expect(run).rejects.toThrow(FileWriteError);
    await expect(run).rejects.toThrow(/Cannot write .*safetensors: ENOSPC.*The disk is full: free some space/s);
    machine.diskBytes = Number.POSITIVE_INFINITY;
    expect(filesIn(tiny.at(out))).toEqual(['adapter.safetensors', 'config.json', 'log.jsonl', 'state.safetensors']);
  }

  async function expectGoesOn(out: string): Promise<void> {
    await tiny.run(out, { steps: 4, resume: true });
    expect(valuesOf(tiny.at(out))).toEqual(valuesOf(tiny.at('whole')));
  }

  it('while the state is written: both files stay, and the run can go on', async () => {
    await failing('no state', 20_000);
    expect(valuesOf(tiny.at('no state'))).toEqual(valuesOf(tiny.at('before')));
    await expectGoesOn('no state');
  });

  it('while the adapter is written: the earlier one stays, and the run can go on', async () => {
    const { state, adapter } = valuesOf(tiny.at('before'));
    await failing('no adapter', state.length + adapter.length / 2);
    expect(valuesOf(tiny.at('no adapter')).adapter.equals(adapter)).toBe(true);
    expect(valuesOf(tiny.at('no adapter')).state.equals(state)).toBe(false);
    await expectGoesOn('no adapter');
  });

  it('at the start: an error, and nothing but an empty folder', async () => {
    machine.diskBytes = 10;
    await expect(tiny.run('new', {})).rejects.toThrow(/Cannot write .*config\.json/);
    expect(filesIn(tiny.at('new'))).toEqual([]);
  });
});

describe('memory', () => {
  it('that is too small: the error names the smallest that works', async () => {
    const error: unknown = await tiny.run('small', { memory: '1MB' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OutOfMemoryError);
    const { message } = error as Error;
    const least = /expected at least ([\d.]+MB).*got 1\.00MB\n.*--memory \1/s.exec(message)?.[1];
    expect(least).toBeDefined();
    expect(existsSync(tiny.at('small'))).toBe(false);
    await tiny.run('small', { memory: least!, steps: 1 });
    const tooSmall = `${Number.parseFloat(least!) - 0.2}MB`;
    await expect(tiny.run('smaller', { memory: tooSmall })).rejects.toThrow(`expected at least ${least}`);
  });

  it('that is not free: the error names what is needed, before anything is written', async () => {
    const free = vi.spyOn(process, 'availableMemory').mockReturnValue(5_120_000);
    const run = tiny.run('not free', {});
    await expect(run).rejects.toThrow(OutOfMemoryError);
    await expect(run).rejects.toThrow(/this run needs [\d.]+MB, 5\.12MB are free/);
    expect(existsSync(tiny.at('not free'))).toBe(false);
    free.mockReturnValue(1e9);
    await tiny.run('free', { steps: 1 });
  });
});

describe('an input that cannot be used', () => {
  const photo = (name: string): string => tiny.at(name);
  beforeAll(async () => {
    await tiny.run('earlier', { steps: 1 });
    writeFileSync(tiny.at('text.png'), 'not a picture');
    await writePhoto(tiny.at('thin.png'), 1, 40);
    cpSync(tiny.model, tiny.at('no index'), { recursive: true });
    rmSync(tiny.at('no index', 'model_index.json'));
    cpSync(tiny.model, tiny.at('cut off'), { recursive: true });
    truncateSync(tiny.at('cut off', 'vae', 'diffusion_pytorch_model.safetensors'), 5000);
    cpSync(tiny.model, tiny.at('no tokenizer'), { recursive: true });
    renameSync(tiny.at('no tokenizer', 'tokenizer', 'vocab.json'), tiny.at('no tokenizer', 'tokenizer', 'words.json'));
    for (const name of ['more tokens', 'shorter']) cpSync(tiny.model, tiny.at(name), { recursive: true });
    writeFileSync(tiny.at('more tokens', 'tokenizer', 'added_tokens.json'), '{"<new>": 70000}');
    writeFileSync(tiny.at('shorter', 'tokenizer', 'tokenizer_config.json'), '{"model_max_length": 40}');
  });

  const cases: [string, () => Partial<TrainOptions>, new (...args: never[]) => Error, RegExp][] = [
    ['no picture file', () => ({ image: photo('none.png') }), Error, /none\.png/],
    ['no picture', () => ({ image: photo('text.png') }), FileFormatError, /cannot be read as a picture/],
    ['one pixel wide', () => ({ image: photo('thin.png') }), FileFormatError, /expected at least 8×8 pixels, got 1×40/],
    ['the second picture', () => ({ images: [photo('photo.png'), photo('thin.png')] }), FileFormatError, /1×40/],
    ['no model', () => ({ model: photo('nothing') }), Error, /nothing/],
    ['a model without index', () => ({ model: photo('no index') }), FileFormatError, /model_index\.json/],
    ['a truncated file', () => ({ model: photo('cut off') }), FileFormatError, /vae.diffusion_pytorch_model/],
    ['no vocabulary', () => ({ model: photo('no tokenizer') }), FileFormatError, /vocab\.json/],
    [
      'a token that the text encoder does not have',
      () => ({ model: photo('more tokens'), prompt: 'a <new> {0}' }),
      FileFormatError,
      /\[tokenizer of text_encoder\] expected ids below vocab_size of text_encoder, \d+, got 70000/,
    ],
    [
      'shorter prompts',
      () => ({ model: photo('shorter') }),
      FileFormatError,
      /expected model_max_length 77, .* got 40/,
    ],
    [
      'no such device',
      () => ({ device: 'cuda:99' }),
      DeviceError,
      /device: expected one that can be used, got cuda:99/,
    ],
    ['a resolution between', () => ({ resolution: 100 }), ConfigError, /expected a multiple of 8 .* got 100\nUse 104/s],
    ['too small a resolution', () => ({ resolution: 8 }), ConfigError, /resolution/],
    ['a minimum above the rank', () => ({ minRank: 5 }), ConfigError, /minRank: expected at most the rank, 4, got 5/],
    ['captions for others', () => ({ captions: ['a', 'b'] }), ConfigError, /captions: expected one for each of 1/],
  ];
  it.each(cases)('leaves an earlier run alone, overwriting allowed: %s', async (_name, more, kind, message) => {
    const before = { names: filesIn(tiny.at('earlier')), ...valuesOf(tiny.at('earlier')) };
    const given = more();
    const options = { ...tiny.options('earlier', { overwrite: true }), ...given };
    if (given.images) delete options.image;
    const { train } = await import('../../lib/train/train.js');
    const run = train(options);
    await expect(run).rejects.toThrow(kind);
    await expect(run).rejects.toThrow(message);
    expect({ names: filesIn(tiny.at('earlier')), ...valuesOf(tiny.at('earlier')) }).toEqual(before);
  });

  it('an output folder that is not empty: refused unless overwriting is allowed, which keeps other files', async () => {
    cpSync(tiny.at('earlier'), tiny.at('mixed'), { recursive: true });
    writeFileSync(tiny.at('mixed', 'notes.txt'), 'mine');
    await expect(tiny.run('mixed', {})).rejects.toThrow(/expected a new or empty folder.*--resume.*--overwrite/s);
    await tiny.run('mixed', { overwrite: true, steps: 2 });
    expect(readFileSync(tiny.at('mixed', 'notes.txt'), 'utf8')).toBe('mine');
    expectGoodState('mixed', 2);
  });

  it('no resolution at all: the model’s own', async () => {
    const options = tiny.options('own', { steps: 1 });
    delete options.resolution;
    const { train } = await import('../../lib/train/train.js');
    await train(options);
    expect(openAdapter(tiny.at('own', 'adapter.safetensors')).info?.training.resolution).toBe(128);
  });

  it('a resolution that the UNet’s levels do not divide: trained all the same', async () => {
    expect(await tiny.run('odd', { resolution: 72, steps: 1 })).toMatchObject({ steps: 1 });
  });
});
