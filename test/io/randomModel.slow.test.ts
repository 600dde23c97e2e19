import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Component, openModelFolder } from '../../lib/io/modelFolder.js';
import { readTensorFloat32 } from '../../lib/io/safetensors.js';
import { loadTokenizer } from '../../lib/io/tokenizer.js';

const script = new URL('../../scripts/make-random-model.mjs', import.meta.url);
interface Settings {
  shape: string;
  out: string;
  dtype: string;
  seed: number;
  'headers-only': boolean;
}
const { makeModel } = (await import(script.href)) as { makeModel: (settings: Settings) => void };
const make = (shape: string, out: string, rest: Partial<Settings> = {}): void =>
  makeModel({ shape, out, dtype: 'float16', seed: 0, 'headers-only': false, ...rest });
const run = (...options: string[]) => promisify(execFile)(process.execPath, [fileURLToPath(script), ...options]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-random-model-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const parameters = ({ tensors }: Component): number =>
  [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);

describe('headers only', () => {
  test.each([
    ['sd15', 859_520_964, 123_060_480, undefined],
    ['sd21', 865_910_724, 340_387_840, undefined],
    ['sdxl', 2_567_463_684, 123_060_480, 694_659_840],
  ] as const)(
    '%s has the parameters of the true model and takes no room',
    async (shape, unet, textEncoder, textEncoder2) => {
      const dir = join(folder, shape);
      make(shape, dir, { 'headers-only': true });
      const model = openModelFolder(dir);
      expect(parameters(model.unet)).toBe(unet);
      expect(parameters(model.vae)).toBe(83_653_863);
      expect(parameters(model.textEncoder)).toBe(textEncoder);
      expect(model.textEncoder2 && parameters(model.textEncoder2)).toBe(textEncoder2);
      const { size, blocks } = statSync(join(dir, 'unet', 'diffusion_pytorch_model.safetensors'));
      expect(size).toBeGreaterThan(unet * 2);
      expect(blocks * 512).toBeLessThan(2_000_000);
    },
  );
});

describe('with weights', () => {
  test('tiny-sd15: the same seed gives the same bytes, another seed others, all finite and of the right spread', () => {
    const dirs = ['a', 'b', 'c'].map((name) => join(folder, name));
    dirs.forEach((dir, i) => {
      make('tiny-sd15', dir, { seed: [7, 7, 8][i]!, dtype: 'bfloat16' });
    });
    const [a, b, c] = dirs.map((dir) => readFileSync(join(dir, 'unet', 'diffusion_pytorch_model.safetensors')));
    expect(a!.equals(b!)).toBe(true);
    expect(a!.equals(c!)).toBe(false);
    const model = openModelFolder(dirs[0]!);
    expect([...model.unet.tensors.values()].every(({ dtype }) => dtype === 'BF16')).toBe(true);
    expect([...model.unet.tensors.values()].every((ref) => readTensorFloat32(ref).every(Number.isFinite))).toBe(true);
    const read = (key: string) => readTensorFloat32(model.unet.tensors.get(key)!);
    expect(new Set(read('conv_norm_out.weight'))).toEqual(new Set([1]));
    expect(new Set(read('conv_norm_out.bias'))).toEqual(new Set([0]));
    const weights = read('mid_block.resnets.0.conv1.weight');
    const variance = weights.reduce((sum, w) => sum + w * w, 0) / weights.length;
    expect(variance * 48 * 9).toBeCloseTo(1, 1);
  });

  test('tiny-sdxl in float16 opens, and its tokenizer has the size of the embedding', async () => {
    const dir = join(folder, 'tiny-sdxl');
    await run('--shape', 'tiny-sdxl', '--out', dir);
    const { textEncoder, tokenizer, unet } = openModelFolder(dir);
    const { encode, vocabularySize } = loadTokenizer(tokenizer);
    expect(textEncoder.tensors.get('text_model.embeddings.token_embedding.weight')?.shape).toEqual([
      vocabularySize,
      24,
    ]);
    expect(vocabularySize).toBe(49408);
    const { ids } = encode('a photo of sks dog, 42!');
    expect(ids.indexOf(49407)).toBeLessThan(20);
    const weights = readTensorFloat32(unet.tensors.get('down_blocks.1.resnets.0.conv1.weight')!);
    const variance = weights.reduce((sum, w) => sum + w * w, 0) / weights.length;
    expect(variance * 16 * 9).toBeCloseTo(1, 1);
  });
});

test('wrong options are refused with the usage', async () => {
  await expect(run('--shape', 'sd16', '--out', folder)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/unknown shape sd16[\s\S]*Usage:/),
  });
});
