import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baseFingerprint } from '../../lib/adapters/fingerprint.js';
import { ConfigError, FileFormatError } from '../../lib/errors.js';
import type { TensorToWrite } from '../../lib/io/safetensors.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { modelDigest, tokenizerDigest } from '../../lib/train/inputDigest.js';
import { convertersKeys, type KeyMap, writeHeaders, writeOriginalFile } from '../support/originalFile.js';

const folder = fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url));
const keys = convertersKeys('tiny-sd15');
const one = (key: string, shape: number[] = [1]): TensorToWrite => {
  const count = shape.reduce((product, side) => product * side, 1);
  return { key, dtype: 'F32', shape, data: new Float32Array(count) };
};

/** What real files have beside the model. */
const HARMLESS = [
  ...['betas', 'alphas_cumprod', 'sqrt_one_minus_alphas_cumprod', 'posterior_mean_coef2', 'model_ema.decay'],
  ...[
    'embedding_manager.embedder.x',
    'model_ema.diffusion_modelinput_blocks00weight',
    'first_stage_model.loss.logvar',
    'cond_stage_model.logit_scale',
  ],
  ...['cond_stage_model.transformer.text_model.embeddings.position_ids', 'cond_stage_model.text_projection'],
];

let dir: string;
let file: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-file-'));
  file = join(dir, 'model.safetensors');
  const more = HARMLESS.map((key) => one(key));
  await writeOriginalFile(file, folder, keys, more);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Another file of the tiny model, with `change` made to its keys. */
async function changed(name: string, change: (keys: KeyMap) => KeyMap, more: TensorToWrite[] = []): Promise<string> {
  const path = join(dir, `${name}.safetensors`);
  await writeOriginalFile(path, folder, change(keys), more);
  return path;
}

type Refusal = string | RegExp | typeof ConfigError | typeof FileFormatError;

function refuses(path: string, config: string | undefined, ...words: Refusal[]): void {
  for (const word of words) expect(() => openModel(path, config)).toThrow(word);
}

describe('a single file', () => {
  it('is the same model as the folder that it was made from', () => {
    const [theirs, ours] = [openModel(folder), openModel(file, folder)];
    expect(ours).toMatchObject({ path: file, kind: 'sd', zerosForEmptyPrompt: false });
    expect(ours.unetParameters).toBe(theirs.unetParameters);
    expect([...ours.unet.tensors.keys()].sort()).toEqual([...theirs.unet.tensors.keys()].sort());
    const layers = [...theirs.unet.tensors.keys()].flatMap((key) => /^(.*attn.*)\.weight$/.exec(key)?.[1] ?? []);
    expect(baseFingerprint(ours.unet.tensors, layers)).toBe(baseFingerprint(theirs.unet.tensors, layers));
    expect(modelDigest(ours)).toBe(modelDigest(theirs));
    expect(tokenizerDigest(ours)).toBe(tokenizerDigest(theirs));
  });

  it('takes early names of the text encoder', async () => {
    const bare = await changed('bare', (all) =>
      all.map(([key, ours]) => [key.replace('.transformer.text_model.', '.transformer.'), ours]),
    );
    expect(modelDigest(openModel(bare, folder))).toBe(modelDigest(openModel(folder)));
  });

  it('needs a tokenizer, and says where', () => {
    refuses(
      file,
      undefined,
      ConfigError,
      `the tokenizer of ${file}, got none`,
      'vocab.json and merges.txt',
      '--config',
    );
    refuses(file, join(dir, 'none'), ConfigError, 'config: expected a folder');
    const empty = join(dir, 'empty');
    mkdirSync(join(empty, 'tokenizer'), { recursive: true });
    const there = join(empty, 'tokenizer');
    refuses(file, empty, ConfigError, `config: expected vocab.json and merges.txt in ${there}, got none`);
    writeFileSync(join(there, 'vocab.json'), '{}');
    refuses(file, empty, `config: expected merges.txt in ${there}`);
    refuses(folder, folder, ConfigError, 'config: expected none with a model folder');
  });

  it('says which config it lacks when the family’s values do not fit', () => {
    const bare = join(dir, 'bare-config');
    cpSync(join(folder, 'tokenizer'), join(bare, 'tokenizer'), { recursive: true });
    refuses(file, bare, ConfigError, `unet as derived from ${file}`, 'norm_num_groups, 32', '[16,32,48]');
  });

  it('refuses configs of another family or class', () => {
    const wrong = join(dir, 'wrong');
    cpSync(folder, wrong, { recursive: true });
    const path = join(wrong, 'model_index.json');
    const index = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...index, _class_name: 'StableDiffusionXLPipeline' }));
    refuses(file, wrong, ConfigError, 'config: expected a folder of Stable Diffusion 1.x');
    writeFileSync(path, JSON.stringify({ ...index, unet: ['diffusers', 'UNet2DModel'] }));
    refuses(file, wrong, FileFormatError, 'unet: expected UNet2DConditionModel');
  });

  it('refuses configs of other widths by the tensor’s own name', () => {
    const wrong = join(dir, 'wrong-width');
    cpSync(folder, wrong, { recursive: true });
    const path = join(wrong, 'unet', 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...config, cross_attention_dim: 32 }));
    const theirs = 'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight';
    refuses(file, wrong, FileFormatError, 'expected [16, 32], got [16, 24]', `(in ${file}, '${theirs}')`);
  });

  it('refuses configs of other layers by the keys that do not fit', () => {
    const wrong = join(dir, 'wrong-size');
    cpSync(folder, wrong, { recursive: true });
    const path = join(wrong, 'unet', 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...config, layers_per_block: 1 }));
    refuses(file, wrong, FileFormatError, "got 'model.diffusion_model.", '--config');
  });
});

describe('a file that is no whole model is named', () => {
  it.each([
    [
      'a key of something else',
      [one('model.diffusion_model.style_embed.weight')],
      /got 'model\.diffusion_model\.style_e/,
    ],
    ['a key of no part', [one('other.weight'), one('more.weight')], /got 'more\.weight', 'other\.weight'/],
    ['a ControlNet', [one('control_model.input_blocks.0.0.weight')], /got a ControlNet/],
    ['unCLIP', [one('model.diffusion_model.label_emb.0.0.weight')], /got an unCLIP model/],
    ['Playground', [one('edm_mean')], /got a Playground model/],
  ])('%s', async (name, more, message) => {
    refuses(await changed(name, (all) => all, more), folder, FileFormatError, message);
  });

  it.each([
    ['UNet', 'model.diffusion_model.', /got keys such as '/],
    ['autoencoder', 'first_stage_model.', /expected the autoencoder \(VAE\), keys 'first_stage_model\.…', got none/],
    [
      'text encoder',
      'cond_stage_model.',
      /expected the text encoder, keys 'cond_stage_model\.transformer\.…', got none/,
    ],
  ])('without %s', async (name, prefix, message) => {
    const path = await changed(name, (all) => all.filter(([key]) => !key.startsWith(prefix)));
    refuses(path, folder, FileFormatError, message);
  });

  it('a missing tensor', async () => {
    const path = await changed('missing', (all) => all.filter(([key]) => !key.includes('input_blocks.1.1.norm.bias')));
    refuses(path, folder, FileFormatError, "tensor 'down_blocks.0.attentions.0.norm.bias'", 'got no such key');
  });

  it.each([
    ['a LoRA of kohya', 'lora_unet_down_blocks_0_attentions_0.lora_down.weight', [4, 4], /got an adapter \(LoRA\)/],
    ['a LoRA of PEFT', 'unet.down_blocks.0.attn1.to_k.lora_A.weight', [4, 4], /got an adapter \(LoRA\)/],
    ['an adapter of the authors', 'mid_block.attn1.processor.to_q_lora.down.weight', [4, 4], /got an adapter \(LoRA\)/],
    ['an adapter of T-LoRA', 'mid_block.attn1.processor.to_q_lora.q_layer.weight', [4, 4], /got an adapter \(LoRA\)/],
    ['FLUX', 'model.diffusion_model.double_blocks.0.img_mod.lin.weight', [4, 4], /got a FLUX model/],
    ['SD 3', 'model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight', [4, 4], /got a Stable Diffusion 3 model/],
    ['the refiner', 'conditioner.embedders.0.model.ln_final.weight', [4], /got an SDXL refiner/],
    [
      'inpainting',
      'model.diffusion_model.input_blocks.0.0.weight',
      [4, 9, 3, 3],
      /inpainting model of 9 input channels/,
    ],
    ['a component', 'down_blocks.0.resnets.0.conv1.weight', [4, 4, 3, 3], /got one component of a model in diffusers/],
    ['an autoencoder', 'decoder.mid.attn_1.k.weight', [4, 4, 1, 1], /got keys such as 'decoder\.mid/],
  ])('%s', (name, key, shape, message) => {
    const path = join(dir, `${name}.safetensors`);
    writeHeaders(path, [{ key, shape }]);
    refuses(path, folder, FileFormatError, message);
  });

  it('a PyTorch file, a truncated one, one that is not there', async () => {
    refuses(join(dir, 'model.ckpt'), folder, FileFormatError, 'got a PyTorch file', 'convert it once');
    refuses(join(dir, 'none.safetensors'), folder, FileFormatError, 'none.safetensors');
    const cut = await changed('cut', (all) => all);
    truncateSync(cut, 1_000_000);
    refuses(cut, folder, FileFormatError, 'truncated');
  });
});
