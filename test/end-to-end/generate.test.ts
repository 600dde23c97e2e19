import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../lib/generate/generate.js';
import type { GenerateEvent, GenerateOptions } from '../../lib/generate/options.js';
import { readPngText } from '../../lib/io/image.js';
import { train } from '../../lib/train/train.js';

const model = fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url));
const official = fileURLToPath(new URL('../fixtures/expected-sd15/official-lora/', import.meta.url));

let dir = '';
let adapter = '';
let made = 0;

/** Makes pictures in a new folder and gives their pixels, [height, width, 3]. */
async function pictures(options: Partial<GenerateOptions> = {}): Promise<Buffer[]> {
  const outputDir = join(dir, `pictures-${made++}`);
  const given = { model, adapter, prompt: 'a {0}', steps: 2, size: 64, threads: 2, outputDir, ...options };
  const result = await generate(given);
  return Promise.all(result.pictures.map(({ path }) => sharp(path).raw().toBuffer()));
}

/** Trains a few large steps, so that the adapter shows. */
async function trained(name: string, options: { compact?: boolean } = {}): Promise<string> {
  const pixels = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 256));
  const image = await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
    .png()
    .toBuffer();
  const run = train({
    ...{ model, image, className: 'dog', rank: 4, steps: 3, learningRate: 0.05, resolution: 64, threads: 2 },
    outputDir: join(dir, name),
    ...options,
  });
  return (await run).adapterPath;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-generate-'));
  adapter = await trained('run');
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('generate', () => {
  it('gives the same picture for the same seed, whatever the count', async () => {
    const [first, second] = await pictures({ count: 2, seed: 5 });
    const [again] = await pictures({ seed: 6 });
    expect(second!.equals(again!)).toBe(true);
    expect(first!.equals(second!)).toBe(false);
  });

  it('applies the adapter by its strength', async () => {
    const prompt = 'a sks dog';
    const [plain] = await generateAlone(prompt);
    const [none] = await pictures({ prompt, strength: 0 });
    const [full] = await pictures({ prompt });
    expect(none!.equals(plain!)).toBe(true);
    expect(full!.equals(plain!)).toBe(false);
  });

  it('draws the start of a compact adapter again', async () => {
    const compact = await trained('compact', { compact: true });
    expect(readFileSync(compact).length).toBeLessThan(0.7 * readFileSync(adapter).length);
    const [whole] = await pictures();
    const [small] = await pictures({ adapter: compact });
    expect(small!.equals(whole!)).toBe(true);
  });

  it('reads the authors’ files, and says that it assumes their schedule', async () => {
    const events: GenerateEvent[] = [];
    const path = join(official, 'pytorch_lora_weights.safetensors');
    await pictures({ adapter: path, prompt: 'a sks dog', onEvent: (event) => void events.push(event) });
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.code] : []));
    expect(warnings).toEqual(['SCHEDULE_ASSUMED']);
  });

  it('does without guidance and takes a negative prompt, another size and the other samplers', async () => {
    const sizes = await Promise.all(
      (await pictures({ guidance: 1, size: { width: 32, height: 64 } })).map((pixels) => pixels.length),
    );
    expect(sizes).toEqual([32 * 64 * 3]);
    const [empty] = await pictures();
    const [negative] = await pictures({ negativePrompt: 'blue' });
    expect(negative!.equals(empty!)).toBe(false);
    for (const sampler of ['ddim', 'dpmpp2m'] as const) {
      const [other] = await pictures({ sampler });
      expect(other!.equals(empty!)).toBe(false);
    }
  });

  it('trained size, events in order, all parameters in the file', async () => {
    const events: GenerateEvent[] = [];
    const outputDir = join(dir, 'told');
    const { pictures: saved, device } = await generate({
      ...{ model, adapter, prompt: 'a {0}', count: 2, seed: 3, steps: 2, outputDir, threads: 2, device: 'cpu' },
      unetOnly: true,
      onEvent: (event) => void events.push(event),
    });
    expect(device.kind).toBe('cpu');
    expect(saved).toEqual([3, 4].map((seed) => ({ path: join(outputDir, `${seed}.png`), seed })));
    const told = events.map((event) => ('phase' in event ? event.phase : event.type));
    const steps = Array<string>(4).fill('step');
    expect(told).toEqual(['device', 'load', 'encode', 'sample', ...steps, 'decode', 'save', 'picture', 'picture']);
    const text = JSON.parse((await readPngText(saved[1]!.path)).parameters!);
    const size = { width: 64, height: 64 };
    expect(text).toMatchObject({ prompt: 'a sks dog', seed: 4, steps: 2, guidance: 5, sampler: 'euler', ...size });
    expect([text.strength, text.unetOnly, text.components]).toEqual([1, true, undefined]);
  });

  it('stops at an abort, and saves nothing', async () => {
    const aborter = new AbortController();
    const outputDir = join(dir, 'aborted');
    const onEvent = (event: GenerateEvent): void => {
      if (event.type === 'step') aborter.abort('enough');
    };
    const run = generate({ model, prompt: 'a dog', steps: 50, size: 64, outputDir, signal: aborter.signal, onEvent });
    await expect(run).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' });
    expect(() => readFileSync(join(outputDir, '0.png'))).toThrow('ENOENT');
  });

  it('begins nothing after an abort', async () => {
    const signal = AbortSignal.abort('never mind');
    const run = generate({ model, prompt: 'a dog', outputDir: join(dir, 'never'), signal });
    await expect(run).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'never mind' });
    expect(existsSync(join(dir, 'never'))).toBe(false);
  });

  it('refuses what cannot be', async () => {
    const folder = dirname(adapter);
    await expect(pictures({ adapter: folder })).rejects.toThrow(
      /^adapter: expected a file, got the folder .*\nGive .*safetensors\.$/,
    );
    await expect(pictures({ adapter: model })).rejects.toThrow(
      /^adapter: expected a file.*\nGive a \.safetensors file\.$/,
    );
    await expect(pictures({ size: 36 })).rejects.toThrow('size: expected multiples of 8 for this model, got 36×36');
    await expect(pictures({ device: 'cuda:99' })).rejects.toMatchObject({ code: 'ERR_TLORA_DEVICE' });
    await expect(pictures({ memory: '1MB' })).rejects.toMatchObject({ code: 'ERR_TLORA_OUT_OF_MEMORY' });
    await expect(pictures({ sampler: 'ddim', karras: true })).rejects.toThrow('ddim has no Karras');
    await expect(pictures({ seed: Number.MAX_SAFE_INTEGER, count: 2 })).rejects.toThrow('seed + count below 2⁵³');
    await expect(pictures({ adapter: join(dir, 'none.safetensors') })).rejects.toMatchObject({
      code: 'ERR_TLORA_FILE_FORMAT',
    });
  });
});

/** The model alone. */
async function generateAlone(prompt: string): Promise<Buffer[]> {
  const { pictures: saved } = await generate({
    ...{ model, prompt, steps: 2, size: 64, threads: 2 },
    outputDir: join(dir, 'alone'),
  });
  return Promise.all(saved.map(({ path }) => sharp(path).raw().toBuffer()));
}
