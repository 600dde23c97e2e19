import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileWriteError } from '../../lib/errors.js';
import { fillSubject, type GenerationAdapter } from '../../lib/generate/adapter.js';
import { predictionGraph } from '../../lib/generate/denoiser.js';
import { expectGenerationMemory, generationBytes } from '../../lib/generate/memory.js';
import { savePicture } from '../../lib/generate/pictureFile.js';
import { startNoise } from '../../lib/generate/pictures.js';
import { readPngText } from '../../lib/io/image.js';
import { planDevice } from '../../lib/pipeline/device.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';

const model = openModel(fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url)));

describe('savePicture', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'tlora-pictures-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('never writes over a picture, makes its folder, and keeps the parameters in the file', async () => {
    const parameters = { seed: 7, width: 2, height: 1, prompt: 'a café' };
    const folder = join(dir, 'a', 'b');
    const paths: string[] = [];
    for (let i = 0; i < 3; i++) paths.push(await savePicture(folder, new Uint8Array(6), parameters));
    expect(paths).toEqual(['7.png', '7-2.png', '7-3.png'].map((name) => join(folder, name)));
    const text = await readPngText(paths[1]!);
    expect(JSON.parse(text.parameters!)).toEqual(parameters);
  });

  it('gives pictures that are saved at the same time names of their own', async () => {
    const parameters = { seed: 7, width: 2, height: 1 };
    const paths = await Promise.all([1, 2, 3, 4].map(() => savePicture(dir, new Uint8Array(6), parameters)));
    expect(new Set(paths).size).toBe(4);
    for (const path of paths) expect(Object.keys(await readPngText(path))).toContain('parameters');
  });

  it('leaves nothing behind where it cannot be written, and says so of the folder', async () => {
    const parameters = { seed: 7, width: 2, height: 1 };
    await expect(savePicture(dir, new Uint8Array(5), parameters)).rejects.toThrow();
    expect(readdirSync(dir)).toEqual([]);
    writeFileSync(join(dir, 'file'), '');
    const below = savePicture(join(dir, 'file', 'pictures'), new Uint8Array(6), parameters);
    await expect(below).rejects.toThrow(FileWriteError);
    await expect(below).rejects.toThrow(/Cannot write .*pictures: /);
  });

  it.runIf(process.platform === 'linux')('ends where no folder can be made', async () => {
    const lost = savePicture('/proc/no-such/pictures', new Uint8Array(6), { seed: 7, width: 2, height: 1 });
    await expect(lost).rejects.toThrow(FileWriteError);
  });
});

describe('startNoise', () => {
  it('is the same for a seed for ever', () => {
    const noise = startNoise(42, 2, 2, 4);
    expect(noise).toHaveLength(16);
    const first = [-0.9701898097991943, 0.19401895999908447, -1.2356207370758057, 1.9239267110824585];
    first.forEach((value, i) => {
      expect(noise[i]).toBeCloseTo(value, 6);
    });
    expect([...startNoise(42, 2, 1, 4)]).toEqual([...noise.subarray(0, 8)]);
    expect([...startNoise(43, 2, 2, 4)]).not.toEqual([...noise]);
  });
});

describe('fillSubject', () => {
  const adapter = { subject: 'sks dog', file: { path: 'a.safetensors' } } as GenerationAdapter;

  it('puts the adapter’s words in the place of {0}', () => {
    expect(fillSubject('prompt', 'a {0} and a {0}', adapter)).toBe('a sks dog and a sks dog');
    expect(fillSubject('prompt', 'a cat', undefined)).toBe('a cat');
  });

  it('refuses {0} when nothing says what it stands for', () => {
    expect(() => fillSubject('prompt', 'a {0}', undefined)).toThrow('prompt: expected no {0}, as there is no adapter');
    const official = { ...adapter, subject: undefined };
    expect(() => fillSubject('prompt', 'a {0}', official)).toThrow('a.safetensors does not name token and class');
  });
});

describe('predictionGraph', () => {
  const sizes = { batch: 2, height: 8, width: 6, contextTokens: 77 };
  const { layout } = setupAdapters(model.unet, { variant: 'tlora', rank: 4 });

  it('reads cached products, and with an adapter the active rank and its values', () => {
    const plain = predictionGraph(model.unet, sizes);
    expect(plain.results.get('prediction')!.shape).toEqual([2, 8, 6, 4]);
    expect([...plain.leaves.keys()].filter((key) => key.startsWith('input:cached/'))).not.toEqual([]);
    expect([...plain.leaves.keys()].filter((key) => /activeRank|state:/.test(key))).toEqual([]);
    const adapted = predictionGraph(model.unet, { ...sizes, adapter: { layout, strength: 0.5 } });
    expect(adapted.leaves.get('input:activeRank')!.shape).toEqual([2]);
    const branches = adapted.nodes.filter(({ op }) => ['lowRank', 'mergedLinear'].includes(op.name));
    expect(branches).toHaveLength(layout.layers.length);
    expect(branches.every((node) => node.attrs.scale === 0.5)).toBe(true);
  });
});

describe('the memory of generating', () => {
  const sizes = {
    width: 128,
    height: 128,
    guidance: 5,
    adapter: undefined,
    device: planDevice('cpu', { threads: 2, precision: undefined }),
  };

  it('is known before: more for larger pictures, less without guidance', () => {
    const bytes = generationBytes(model, sizes);
    expect(generationBytes(model, { ...sizes, width: 256 })).toBeGreaterThan(bytes);
    expect(generationBytes(model, { ...sizes, width: 16, height: 16, guidance: 1 })).toBeLessThan(bytes);
  });

  it('is an error, with the memory needed, when it is more than allowed', () => {
    expect(() => expectGenerationMemory(model, { ...sizes, memory: 1000 })).toThrow(
      /^memory: expected at least [\d.]+MB, got 1\.00kB\nAllow --memory [\d.]+MB, or lower --size\.$/,
    );
    expect(() => expectGenerationMemory(model, { ...sizes, memory: 1e12 })).not.toThrow();
  });
});
