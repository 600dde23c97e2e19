// Adapters written in other layouts, read back, and compared by what the UNet computes with them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { type ConvertResult, convertAdapter } from '../../lib/convert/convertAdapter.js';
import type { ConvertOptions } from '../../lib/convert/options.js';
import {
  type GenerationAdapter,
  loadGenerationAdapter,
  openGenerationAdapter,
  pipelineLayers,
} from '../../lib/generate/adapter.js';
import {
  readSafetensorsHeader,
  readTensorBytes,
  readTensorFloat32,
  type TensorToWrite,
  writeSafetensors,
} from '../../lib/io/safetensors.js';
import { type Pass, passOf, predict } from '../parity/adapter.js';
import { relativeError } from '../parity/checks.js';
import { openPipeline, type Pipeline } from '../parity/pipeline.js';
import { openReference } from '../parity/reference.js';

const fixture = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
const model = fixture('tiny-sd15');
const VANILLA = fixture('expected-sd15/official-lora/pytorch_lora_weights.safetensors');
const ORTHOGONAL = fixture('expected-sd15/official-ortho_lora-last/pytorch_lora_weights.safetensors');
const LYCORIS = fixture('interop/lycoris-sd15/last-data/lycoris.safetensors');
const KOHYA = fixture('interop/kohya-sd15/lora.safetensors');
const PEFT = fixture('interop/peft-sd15/pytorch_lora_weights.safetensors');

let dir = '';
let pipeline: Pipeline;
let pass: Pass;
let made = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-convert-'));
  const expected = fixture('expected-sd15');
  pipeline = openPipeline({ name: 'sd15', dir: model, expected, device: 1 });
  pass = await passOf(pipeline, openReference(join(expected, 'unet.safetensors')), 500);
});
afterAll(() => {
  pipeline.session.engine.dispose();
  rmSync(dir, { recursive: true });
});

const convert = (
  adapter: string,
  options: Partial<ConvertOptions> & Pick<ConvertOptions, 'to'>,
): Promise<ConvertResult> => convertAdapter({ adapter, model, out: join(dir, `${made++}.safetensors`), ...options });

async function load(path: string): Promise<GenerationAdapter> {
  const adapter = openGenerationAdapter(pipeline.model, 1000, { path, strength: 1, force: false }, () => {});
  await loadGenerationAdapter(pipeline.session, pipeline.model.unet, adapter);
  return adapter;
}

/** What the UNet computes with a file as it is used at a timestep. */
async function outputAt(path: string, t: number): Promise<Float32Array> {
  const adapter = await load(path);
  return predict(pipeline, pass, adapter.sampled.layout, adapter.activeRank(t));
}

const tensorsOf = (path: string): Map<string, string> =>
  new Map(
    [...readSafetensorsHeader(path).tensors].map(([key, ref]) => [
      key,
      `${ref.dtype} ${ref.shape} ${Buffer.from(readTensorBytes(ref)).toString('base64')}`,
    ]),
  );

describe('plain LoRA', () => {
  const files = { vanilla: VANILLA, orthogonal: ORTHOGONAL, 'from LyCORIS': LYCORIS, 'from kohya': KOHYA };
  const cases = Object.entries(files).flatMap(([name, path]) =>
    (['kohya', 'peft', 'diffusers'] as const).map((to) => [name, to, path] as const),
  );

  it.each(cases)('%s in the layout %s computes the same, at every timestep', async (_, to, path) => {
    const { path: written, relativeError: lost } = await convert(path, { to });
    expect(lost).toBe(0);
    for (const t of [0, 700, 999]) {
      expect(relativeError(await outputAt(written, t), await outputAt(path, t))).toBeLessThan(2e-6);
    }
  });

  it('of one rank is that of the mask, at all timesteps', async () => {
    const { path, notes } = await convert(ORTHOGONAL, { to: 'kohya', atRank: 4 });
    expect(notes).toEqual([]);
    const adapter = await load(ORTHOGONAL);
    const masked = await predict(pipeline, pass, adapter.sampled.layout, 4);
    for (const t of [0, 999]) expect(relativeError(await outputAt(path, t), masked)).toBeLessThan(2e-6);
  });

  it('of fewer components loses what it says', async () => {
    const { path, rank, relativeError: lost } = await convert(ORTHOGONAL, { to: 'peft', rank: 8 });
    expect(rank).toBe(8);
    expect(lost).toBeGreaterThan(0);
    const [short, whole, plain] = [
      await outputAt(path, 999),
      await outputAt(ORTHOGONAL, 0),
      await predict(pipeline, pass),
    ];
    expect(relativeError(short, whole)).toBeLessThan(2 * lost * relativeError(whole, plain));
    const none = await convert(ORTHOGONAL, { to: 'peft', rank: 16 });
    expect([none.rank, none.relativeError]).toEqual([16, 0]);
  });

  it('says its loss over all layers, also those that lose nothing', async () => {
    const path = join(dir, 'ranks.safetensors');
    const ones = (key: string, ...shape: [number, number]): TensorToWrite => {
      const data = new Float32Array(shape[0] * shape[1]);
      for (let i = 0; i < Math.min(...shape); i++) data[i * shape[1] + i] = 1; // orthogonal rows and columns
      return { key, dtype: 'F32', shape, data };
    };
    const layers = [...pipelineLayers(pipeline.model).get('unet')!.values()].slice(0, 3);
    const tensors = layers.flatMap(({ path: name, in: width, out }, i) => [
      ones(`unet.${name}.lora_A.weight`, i + 1, width),
      ones(`unet.${name}.lora_B.weight`, out, i + 1),
    ]);
    await writeSafetensors(path, tensors, {});
    const { relativeError: lost } = await convert(path, { to: 'kohya', rank: 1 });
    expect(lost).toBeCloseTo(Math.sqrt((0 + 1 + 2) / (1 + 2 + 3)), 6);
  });

  it('in float16 loses little', async () => {
    const { path } = await convert(ORTHOGONAL, { to: 'kohya', dtype: 'float16' });
    expect(relativeError(await outputAt(path, 0), await outputAt(ORTHOGONAL, 0))).toBeLessThan(1e-4);
    expect(new Set([...readSafetensorsHeader(path).tensors.values()].map(({ dtype }) => dtype))).toEqual(
      new Set(['F16']),
    );
  });

  it('names in kohya’s layout what other programs look for', async () => {
    const { path, notes } = await convert(ORTHOGONAL, { to: 'kohya' });
    expect(notes[0]).toContain('other programs apply no mask');
    const { metadata, tensors } = readSafetensorsHeader(path);
    expect(metadata).toMatchObject({
      ss_base_model_version: 'sd_v1',
      ss_network_dim: '16',
      ss_network_alpha: '16',
      ss_v2: 'False',
    });
    expect([...tensors.keys()]).toContain(
      'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0.alpha',
    );
  });
});

it('kohya’s alpha is exact in every type', async () => {
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    const { path } = await convert(ORTHOGONAL, { to: 'kohya', dtype });
    const alphas = [...readSafetensorsHeader(path).tensors.values()].filter(({ shape }) => shape.length === 0);
    expect(alphas.length).toBeGreaterThan(0);
    for (const alpha of alphas) {
      expect(alpha.dtype).not.toBe('BF16');
      expect([...readTensorFloat32(alpha)]).toEqual([16]);
    }
  }
});

describe('T-LoRA’s own layouts', () => {
  it.each([
    ['vanilla', VANILLA],
    ['orthogonal', ORTHOGONAL],
  ])('go from the authors’ to ours and back without change: %s', async (_, path) => {
    const own = await convert(path, { to: 'tlora' });
    expect(own.notes[0]).toContain('rank schedule 4 to 8, alpha 1 is assumed');
    for (const t of [0, 999]) {
      expect(relativeError(await outputAt(own.path, t), await outputAt(path, t))).toBeLessThan(1e-6);
    }
    const back = tensorsOf((await convert(own.path, { to: 'official', model: undefined })).path);
    expect([...back.keys()].sort()).toEqual([...tensorsOf(path).keys()].sort());
    if (path === VANILLA) expect(back).toEqual(tensorsOf(path));
  });

  it.each([
    ['kohya', KOHYA],
    ['PEFT', PEFT],
    ['LyCORIS', LYCORIS],
  ])('take up those of %s', async (_, path) => {
    const own = await convert(path, { to: 'tlora' });
    const written = await outputAt(own.path, 300);
    expect(relativeError(written, await outputAt(path, 300))).toBeLessThan(2e-6);
    const official = await convert(own.path, { to: 'official' });
    const adapter = await load(official.path);
    const full = await predict(pipeline, pass, adapter.sampled.layout, 99);
    expect(relativeError(full, await outputAt(path, 0))).toBeLessThan(2e-6);
  });
});

describe('what a file says of itself', () => {
  const Q = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';

  /** A plain LoRA whose component i is `sigmas[i]` at [i, i] of the layer's change. */
  async function diagonal(layers: Record<string, number[]>, metadata: Record<string, string> = {}): Promise<string> {
    const path = join(dir, `${made++}.safetensors`);
    const tensors = Object.entries(layers).flatMap(([layer, sigmas]): TensorToWrite[] => {
      const [out, width] = pipeline.model.unet.tensors.get(`${layer}.weight`)!.shape as [number, number];
      const [up, down] = [new Float32Array(out * sigmas.length), new Float32Array(sigmas.length * width)];
      for (const [i, sigma] of sigmas.entries()) {
        up[i * sigmas.length + i] = sigma;
        down[i * width + i] = 1;
      }
      return [
        { key: `unet.${layer}.lora_B.weight`, dtype: 'F32', shape: [out, sigmas.length], data: up },
        { key: `unet.${layer}.lora_A.weight`, dtype: 'F32', shape: [sigmas.length, width], data: down },
      ];
    });
    await writeSafetensors(path, tensors, metadata);
    return path;
  }

  it('is the mask of a rank that no layer is wide enough for', async () => {
    const schedule = { T: 1000, maxRank: 12, minRank: 2, alpha: 1 };
    const mask = { 'tlora.mask': JSON.stringify({ ...schedule, perRank: 1 }) };
    const plain = await diagonal({ [Q]: [1, 2, 3, 4] }, mask);
    const own = (await convert(plain, { to: 'tlora' })).path;
    for (const path of [plain, own, (await convert(own, { to: 'peft' })).path]) {
      const { activeRank: active } = await load(path);
      for (const t of [0, 500, 900]) expect(active(t)).toBe(activeRank(schedule, t));
      expect(relativeError(await outputAt(path, 900), await outputAt(plain, 900))).toBeLessThan(1e-6);
    }
  });

  it('is that a layer is a convolution, which tlora’s layout tells with the model alone', async () => {
    const kernel = 'lora_unet_mid_block_attentions_0_proj_in.lora_down.weight';
    const shapeOf = (path: string): readonly number[] => readSafetensorsHeader(path).tensors.get(kernel)!.shape;
    const width = pipeline.model.unet.tensors.get('mid_block.attentions.0.proj_in.weight')!.shape[1]!;
    const given = join(dir, `${made++}.safetensors`);
    await writeSafetensors(given, [
      { key: kernel, dtype: 'F32', shape: [1, width, 1, 1], data: new Float32Array(width).fill(1) },
      {
        key: kernel.replace('down', 'up'),
        dtype: 'F32',
        shape: [width, 1, 1, 1],
        data: new Float32Array(width).fill(1),
      },
    ]);
    const own = (await convert(given, { to: 'tlora' })).path;
    const { path } = await convert(own, { to: 'kohya' });
    expect(shapeOf(path)).toEqual([1, width, 1, 1]);
    expect(Object.keys(readSafetensorsHeader(path).metadata)).not.toContain('modelspec.trigger_phrase');
    expect((await convert(own, { to: 'tlora', model: undefined })).layers).toBe(1);
    await expect(convert(own, { to: 'kohya', model: undefined })).rejects.toThrow(
      'Only the model tells whether mid_block.attentions.0.proj_in is a convolution.',
    );
  });
});

it('makes the folder of the file', async () => {
  const out = join(dir, 'of', 'others', 'lora.safetensors');
  expect((await convert(VANILLA, { to: 'kohya', out })).path).toBe(out);
  expect(tensorsOf(out).size).toBe((3 * readSafetensorsHeader(VANILLA).tensors.size) / 2);
});

describe('conversions that cannot be', () => {
  const refused = (adapter: string, options: Partial<ConvertOptions> & Pick<ConvertOptions, 'to'>) =>
    expect(convert(adapter, options)).rejects;

  it('are refused before anything is written', async () => {
    const { path } = await convert(VANILLA, { to: 'kohya' });
    const before = readFileSync(path);
    await refused(ORTHOGONAL, { to: 'kohya', out: path }).toThrow(
      `out: expected a file that does not exist, got ${path}`,
    );
    expect(readFileSync(path).equals(before)).toBe(true);
    await convert(ORTHOGONAL, { to: 'kohya', out: path, overwrite: true });
    expect(readFileSync(path).equals(before)).toBe(false);
    await refused(path, { to: 'peft', out: path, overwrite: true }).toThrow('another file than the adapter');
    await refused(dirname(VANILLA), { to: 'kohya' }).toThrow('adapter: expected a file, got the folder');
    await refused(KOHYA, { to: 'peft', model: undefined }).toThrow('expected the model that the adapter is for');
    await refused(VANILLA, { to: 'tlora', model: undefined }).toThrow('model: expected the model folder');
    await refused(VANILLA, { to: 'kohya', model: undefined, config: model }).toThrow(
      'config: expected none, as there is no model',
    );
    await refused(VANILLA, { to: 'kohya', components: 'last' }).toThrow('is no T-LoRA of LyCORIS, got last');
    await refused(VANILLA, { to: 'tlora', rank: 4 }).toThrow('rank: expected none with the layout tlora');
    await refused(VANILLA, { to: 'official', dtype: 'float16' }).toThrow('dtype: expected float32');
    await refused(VANILLA, { to: 'kohya', atRank: 9 }).toThrow('atRank: expected at most 8');
    await refused(VANILLA, { to: 'ckpt' as 'kohya' }).toThrow('to: expected one of kohya');
  });
});
