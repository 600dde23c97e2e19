import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { readTensorFloat32, type TensorToWrite, writeSafetensors } from '../../lib/io/safetensors.js';

let folder: string;
let pristine: string;
let dir: string;

const one = (key: string, shape: number[] = [1], first = 1): TensorToWrite => {
  const count = shape.reduce((product, side) => product * side, 1);
  return { key, dtype: 'F32', shape, data: Float32Array.from({ length: count }, (_, i) => first + i) };
};
const writeJson = (path: string, value: unknown): void => writeFileSync(path, JSON.stringify(value));

/** A model folder with a tensor or two in each component: enough for opening, which does not know the models. */
async function makeFolder(made: string, isXl: boolean): Promise<void> {
  const textEncoders = isXl ? ['text_encoder', 'text_encoder_2'] : ['text_encoder'];
  const tokenizers = isXl ? ['tokenizer', 'tokenizer_2'] : ['tokenizer'];
  for (const name of ['unet', 'vae', 'scheduler', ...textEncoders, ...tokenizers]) {
    mkdirSync(join(made, name), { recursive: true });
    if (!name.startsWith('tokenizer')) writeJson(join(made, name, 'config.json'), { made: name });
  }
  writeJson(join(made, 'scheduler', 'scheduler_config.json'), { prediction_type: 'epsilon' });
  writeJson(join(made, 'model_index.json'), {
    _class_name: isXl ? 'StableDiffusionXLPipeline' : 'StableDiffusionPipeline',
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
    text_encoder: ['transformers', 'CLIPTextModel'],
    ...(isXl ? { text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'] } : {}),
    safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
  });
  await writeSafetensors(join(made, 'unet', 'diffusion_pytorch_model.safetensors'), [
    one('conv_in.weight'),
    one('conv_out.weight'),
  ]);
  await writeSafetensors(join(made, 'vae', 'diffusion_pytorch_model.safetensors'), [
    one('quant_conv.weight', [1, 1, 1, 1]),
  ]);
  for (const name of textEncoders) {
    await writeSafetensors(join(made, name, 'model.safetensors'), [one('text_model.final_layer_norm.weight')]);
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-model-'));
  pristine = join(folder, 'pristine');
  await makeFolder(pristine, false);
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  dir = mkdtempSync(join(folder, 'model-'));
  cpSync(pristine, dir, { recursive: true });
});

const unetFile = (): string => join(dir, 'unet', 'diffusion_pytorch_model.safetensors');
const unetKeys = (): string[] => [...openModelFolder(dir).unet.tensors.keys()].sort();
const expectError = (message: RegExp): void => {
  expect(() => openModelFolder(dir)).toThrow(FileFormatError);
  expect(() => openModelFolder(dir)).toThrow(message);
};

describe('what opens', () => {
  test('a Stable Diffusion folder', () => {
    const model = openModelFolder(dir);
    expect(model).toMatchObject({
      path: dir,
      kind: 'sd',
      tokenizer: join(dir, 'tokenizer'),
      scheduler: { prediction_type: 'epsilon' },
    });
    expect(model.unet).toMatchObject({ name: 'unet', config: { made: 'unet' } });
    expect(model.textEncoder.name).toBe('text_encoder');
    expect(Object.hasOwn(model, 'textEncoder2')).toBe(false);
    expect(readTensorFloat32(model.unet.tensors.get('conv_in.weight')!)).toEqual(Float32Array.of(1));
  });

  test('an SDXL folder', async () => {
    const xl = join(dir, 'xl');
    await makeFolder(xl, true);
    const model = openModelFolder(xl);
    expect(model).toMatchObject({
      kind: 'sdxl',
      tokenizer2: join(xl, 'tokenizer_2'),
      textEncoder2: { config: { made: 'text_encoder_2' } },
    });
  });

  test('safety_checker and feature_extractor are not looked at', () => {
    mkdirSync(join(dir, 'safety_checker'));
    writeFileSync(join(dir, 'safety_checker', 'model.safetensors'), 'not a weight file');
    expect(openModelFolder(dir).kind).toBe('sd');
  });

  test('half-precision file names; the full one is preferred', async () => {
    await writeSafetensors(join(dir, 'unet', 'diffusion_pytorch_model.fp16.safetensors'), [one('half')]);
    expect(unetKeys()).toEqual(['conv_in.weight', 'conv_out.weight']);
    rmSync(unetFile());
    expect(unetKeys()).toEqual(['half']);
  });

  test.each(['diffusion_pytorch_model.safetensors.index.json', 'diffusion_pytorch_model.safetensors.index.fp16.json'])(
    'shards listed in %s',
    async (index) => {
      rmSync(unetFile());
      await writeSafetensors(join(dir, 'unet', 'a-1.safetensors'), [one('x', [1], 5)]);
      await writeSafetensors(join(dir, 'unet', 'a-2.safetensors'), [one('y')]);
      writeJson(join(dir, 'unet', index), { metadata: {}, weight_map: { x: 'a-1.safetensors', y: 'a-2.safetensors' } });
      expect(unetKeys()).toEqual(['x', 'y']);
      expect(readTensorFloat32(openModelFolder(dir).unet.tensors.get('x')!)).toEqual(Float32Array.of(5));
    },
  );
});

describe('keys become today’s', () => {
  test('the VAE’s old attention names, and weights stored as convolutions', async () => {
    const path = 'decoder.mid_block.attentions.0';
    const old = ['query', 'key', 'value', 'proj_attn'].flatMap((name) => [
      one(`${path}.${name}.weight`, name === 'key' ? [2, 2, 1, 1] : [2, 2]),
      one(`${path}.${name}.bias`, [2]),
    ]);
    const kept = [one('decoder.conv_in.weight', [2, 2, 1, 1]), one(`${path}.group_norm.weight`, [2])];
    await writeSafetensors(join(dir, 'vae', 'diffusion_pytorch_model.safetensors'), [...old, ...kept]);
    const { tensors } = openModelFolder(dir).vae;
    const shapes = Object.fromEntries([...tensors].map(([key, { shape }]) => [key.replace(path, 'attention'), shape]));
    expect(shapes).toEqual({
      'attention.to_q.weight': [2, 2],
      'attention.to_q.bias': [2],
      'attention.to_k.weight': [2, 2],
      'attention.to_k.bias': [2],
      'attention.to_v.weight': [2, 2],
      'attention.to_v.bias': [2],
      'attention.to_out.0.weight': [2, 2],
      'attention.to_out.0.bias': [2],
      'attention.group_norm.weight': [2],
      'decoder.conv_in.weight': [2, 2, 1, 1],
    });
    expect(tensors.get(`${path}.to_q.weight`)?.key).toBe(`${path}.query.weight`);
    expect(readTensorFloat32(tensors.get(`${path}.to_k.weight`)!)).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  test('old and new spelling of one weight together are an error', async () => {
    const path = 'encoder.mid_block.attentions.0';
    await writeSafetensors(join(dir, 'vae', 'diffusion_pytorch_model.safetensors'), [
      one(`${path}.query.bias`),
      one(`${path}.to_q.bias`),
    ]);
    expectError(/query\.bias" and ".*to_q\.bias" are two spellings|to_q\.bias" and ".*query\.bias" are two spellings/);
  });

  test('text encoders get the prefix text_model., lose position_ids and keep the projection', async () => {
    await writeSafetensors(join(dir, 'text_encoder', 'model.safetensors'), [
      one('embeddings.token_embedding.weight'),
      one('embeddings.position_ids'),
      one('encoder.layers.0.mlp.fc1.bias'),
      one('final_layer_norm.bias'),
      one('text_projection.weight'),
      one('text_model.embeddings.position_ids'),
      one('stranger.weight'),
    ]);
    expect([...openModelFolder(dir).textEncoder.tensors.keys()].sort()).toEqual([
      'stranger.weight',
      'text_model.embeddings.token_embedding.weight',
      'text_model.encoder.layers.0.mlp.fc1.bias',
      'text_model.final_layer_norm.bias',
      'text_projection.weight',
    ]);
  });

  test('the UNet’s keys stay as they are', async () => {
    const key = 'down_blocks.0.attentions.0.query.weight';
    await writeSafetensors(unetFile(), [one(key, [1, 1, 1, 1])]);
    expect(openModelFolder(dir).unet.tensors.get(key)?.shape).toEqual([1, 1, 1, 1]);
  });
});

describe('what does not open', () => {
  test('no such folder, and a folder without an index', () => {
    rmSync(join(dir, 'model_index.json'));
    expectError(/is not a model folder: it has no model_index\.json.*diffusers layout/s);
    expect(() => openModelFolder(join(dir, 'none'))).toThrow(/model: .*none does not exist/);
  });

  test.each<[string, unknown, RegExp]>([
    ['an index that is no object', [], /model_index\.json: expected a JSON object/],
    [
      'another pipeline',
      { _class_name: 'FluxPipeline' },
      /_class_name: expected StableDiffusionPipeline.*got "FluxPipeline"/,
    ],
    ['an inherited name', { _class_name: 'constructor' }, /_class_name: expected/],
    [
      'another UNet',
      { _class_name: 'StableDiffusionPipeline', unet: ['x', 'UNet3D'] },
      /unet: expected UNet2DConditionModel, got "UNet3D"/,
    ],
    ['no UNet', { _class_name: 'StableDiffusionPipeline' }, /unet: expected UNet2DConditionModel, got null/],
  ])('%s', (_, index, message) => {
    writeJson(join(dir, 'model_index.json'), index);
    expectError(message);
  });

  test('an SDXL index without its second encoder', () => {
    const index = JSON.parse(readFileSync(join(dir, 'model_index.json'), 'utf8')) as object;
    writeJson(join(dir, 'model_index.json'), { ...index, _class_name: 'StableDiffusionXLPipeline' });
    expectError(/text_encoder_2: expected CLIPTextModelWithProjection, got null/);
  });

  test.each(['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler'])('a missing folder: %s', (name) => {
    rmSync(join(dir, name), { recursive: true });
    expectError(new RegExp(`expected a folder ${name}, got none`));
  });

  test('a missing or broken config', () => {
    rmSync(join(dir, 'unet', 'config.json'));
    expectError(/unet.config\.json: cannot be read/);
    writeFileSync(join(dir, 'unet', 'config.json'), '{"a":');
    expectError(/unet.config\.json: expected a JSON object/);
  });

  test('only PyTorch files, only something else, and nothing', () => {
    renameSync(unetFile(), join(dir, 'unet', 'diffusion_pytorch_model.bin'));
    expectError(/got only PyTorch files \(diffusion_pytorch_model\.bin\).*safe_serialization=True/s);
    renameSync(join(dir, 'unet', 'diffusion_pytorch_model.bin'), join(dir, 'unet', 'other.safetensors'));
    expectError(/expected diffusion_pytorch_model\.safetensors, .*got config\.json, other\.safetensors/);
  });

  test('a truncated weight file', () => {
    writeFileSync(unetFile(), readFileSync(unetFile()).subarray(0, -1));
    expectError(/unet.*truncated or out of range/);
  });

  test.each<[string, unknown, RegExp]>([
    ['without a map', {}, /weight_map: expected an object, got undefined/],
    [
      'outside the folder',
      { weight_map: { x: '../a-1.safetensors' } },
      /expected names of \.safetensors files in this folder, got "\.\./,
    ],
    ['to a missing shard', { weight_map: { x: 'a-9.safetensors' } }, /a-9\.safetensors: cannot be read/],
    [
      'to the wrong shard',
      { weight_map: { z: 'a-1.safetensors' } },
      /"z": expected in a-1\.safetensors, got no such tensor/,
    ],
    [
      'that forgets a tensor',
      { weight_map: { x: 'a-1.safetensors' } },
      /"y" is in a-1\.safetensors but not in weight_map/,
    ],
  ])('an index %s', async (_, index, message) => {
    rmSync(unetFile());
    await writeSafetensors(join(dir, 'unet', 'a-1.safetensors'), [one('x'), one('y')]);
    writeJson(join(dir, 'unet', 'diffusion_pytorch_model.safetensors.index.json'), index);
    expectError(message);
  });
});
