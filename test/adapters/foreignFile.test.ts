import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { AdapterFile } from '../../lib/adapters/adapterFile.js';
import { adaptableLayers, originalPaths, type PipelineLayers } from '../../lib/adapters/modelLayers.js';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { type TensorToWrite, writeSafetensors } from '../../lib/io/safetensors.js';

const dir = mkdtempSync(join(tmpdir(), 'tlora-foreign-'));
afterAll(() => rmSync(dir, { recursive: true }));

const BLOCK = 'down_blocks.1.attentions.0.transformer_blocks.0';
const Q = `${BLOCK}.attn1.to_q`;
const OUT = `${BLOCK}.attn1.to_out.0`;
const PROJ = 'down_blocks.1.attentions.0.proj_in';
const TEXT = 'text_model.encoder.layers.0.self_attn.q_proj';

const shapes = (list: Record<string, number[]>): Map<string, { shape: number[] }> =>
  new Map(Object.entries(list).map(([path, shape]) => [`${path}.weight`, { shape }]));

const pipeline: PipelineLayers = new Map([
  [
    'unet',
    adaptableLayers(
      shapes({
        [Q]: [4, 6],
        [OUT]: [4, 4],
        [PROJ]: [4, 4, 1, 1],
        'down_blocks.0.resnets.0.conv1': [4, 4, 3, 3],
        'down_blocks.0.resnets.1.conv1': [4, 4, 3, 3],
        'down_blocks.0.resnets.1.time_emb_proj': [4, 8],
        'down_blocks.1.resnets.1.time_emb_proj': [4, 8],
      }),
    ),
  ],
  ['text_encoder', adaptableLayers(shapes({ [TEXT]: [4, 4], 'text_model.embeddings.token_embedding': [9, 4] }))],
]);

let made = 0;

/** Writes tensors whose values all are `value`, default 1. */
async function written(
  tensors: Record<string, number[] | { shape: number[]; value: number }>,
  metadata: Record<string, string> = {},
  name = `${made++}.safetensors`,
): Promise<string> {
  const path = join(dir, name);
  const list = Object.entries(tensors).map(([key, given]): TensorToWrite => {
    const { shape, value } = Array.isArray(given) ? { shape: given, value: 1 } : given;
    const count = shape.reduce((a, b) => a * b, 1);
    return { key, dtype: 'F16', shape, data: new Float32Array(count).fill(value) };
  });
  await writeSafetensors(path, list, metadata);
  return path;
}

const scaleOf = (file: AdapterFile, path: string): number => file.change(`${path}.lora_up.weight`)[0]!;
const pair = (down: string, up: string, r = 2): Record<string, number[]> => ({ [down]: [r, 6], [up]: [4, r] });

describe('names of layers', () => {
  it('are those of diffusers and of the original checkpoints', () => {
    const paths = [...pipeline.get('unet')!.keys()];
    expect(originalPaths([Q])).toEqual(new Map([[Q, 'input_blocks.4.1.transformer_blocks.0.attn1.to_q']]));
    expect(originalPaths(paths, paths)).toEqual(
      new Map([
        [Q, 'input_blocks.4.1.transformer_blocks.0.attn1.to_q'],
        [OUT, 'input_blocks.4.1.transformer_blocks.0.attn1.to_out.0'],
        [PROJ, 'input_blocks.4.1.proj_in'],
        ['down_blocks.0.resnets.1.time_emb_proj', 'input_blocks.2.0.emb_layers.1'],
        ['down_blocks.1.resnets.1.time_emb_proj', 'input_blocks.5.0.emb_layers.1'],
      ]),
    );
  });

  it.each([
    ['training example', `unet.${Q}.lora.down.weight`, `unet.${Q}.lora.up.weight`],
    ['PEFT', `base_model.model.${Q}.lora_A.weight`, `base_model.model.${Q}.lora_B.weight`],
    ['PEFT with an adapter’s name', `unet.${Q}.lora_A.default.weight`, `unet.${Q}.lora_B.default.weight`],
    ['old diffusers', `unet.${BLOCK}.attn1.processor.to_q_lora.down.weight`, `${BLOCK}.attn1.to_q.lora.up.weight`],
    ['bare', `${Q}.lora_down.weight`, `${Q}.lora_up.weight`],
    [
      'ComfyUI',
      'diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.lora_A.weight',
      'diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.lora_B.weight',
    ],
    [
      'kohya, original blocks',
      'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight',
      'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_up.weight',
    ],
    [
      'kohya, diffusers blocks',
      'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight',
      'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight',
    ],
  ])('are found in %s keys', async (_, down, up) => {
    const file = openAdapter(await written(pair(down, up)), pipeline);
    expect(file.layers).toEqual([{ path: Q, in: 6, out: 4, rank: 2 }]);
    expect([file.info, file.mask, file.orthogonal, scaleOf(file, Q)]).toEqual([null, null, false, 1]);
  });

  it.each([
    `text_encoder.${TEXT}.lora_linear_layer`,
    `text_encoder.${TEXT.replace('text_model.', '')}.lora`,
    `text_encoders.clip_l.transformer.${TEXT}.lora`,
    'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora',
  ])('are found for text encoders: %s', async (key) => {
    const [up, down] = key.startsWith('lora_te1') ? ['_up', '_down'] : ['.up', '.down'];
    const path = await written({
      ...pair(`unet.${Q}.lora_A.weight`, `unet.${Q}.lora_B.weight`),
      [`${key}${down}.weight`]: [3, 4],
      [`${key}${up}.weight`]: [4, 3],
    });
    expect(openAdapter(path, pipeline).text.get('text_encoder')!.layers).toMatchObject([{ path: TEXT, rank: 3 }]);
  });

  it('are found for convolutions and text encoders', async () => {
    const path = await written({
      'lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight': [3, 4, 1, 1],
      'lora_unet_down_blocks_1_attentions_0_proj_in.lora_up.weight': [4, 3, 1, 1],
      'lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight': [1, 4],
      'lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight': [4, 1],
    });
    const file = openAdapter(path, pipeline);
    expect(file.layers).toEqual([{ path: PROJ, in: 4, out: 4, rank: 3, convolution: true }]);
    expect(file.text.get('text_encoder')!.layers).toEqual([{ path: TEXT, in: 4, out: 4, rank: 1 }]);
    expect(openAdapter(path, pipeline, { unetOnly: true }).text.size).toBe(0);
  });
});

describe('scales', () => {
  const A = `unet.${Q}.lora_A.weight`;
  const B = `unet.${Q}.lora_B.weight`;
  const config = (fields: object): Record<string, string> => ({ lora_adapter_metadata: JSON.stringify(fields) });

  it.each([
    ['alpha/r', { 'unet.lora_alpha': 8 }, 4],
    ['without the prefix', { lora_alpha: 6, r: 99 }, 3],
    ['alpha/√r', { 'unet.lora_alpha': 8, 'unet.use_rslora': true }, 8 / Math.SQRT2],
    ['a pattern’s alpha', { 'unet.lora_alpha': 8, 'unet.alpha_pattern': { 'attn1.to_q': 1 } }, 0.5],
    ['a pattern with an expression', { 'unet.lora_alpha': 8, 'unet.alpha_pattern': { '.*attn1.to_[qk]': 3 } }, 1.5],
    ['no other’s pattern', { 'unet.lora_alpha': 8, 'unet.alpha_pattern': { to_k: 1, o_q: 1 } }, 4],
    ['no other model’s', { 'text_encoder.lora_alpha': 8 }, 1],
  ])('come from the metadata: %s', async (_, fields, scale) => {
    const file = openAdapter(await written(pair(A, B), config(fields)), pipeline);
    expect(scaleOf(file, Q)).toBeCloseTo(scale, 6);
  });

  it('come from the config beside a file of PEFT', async () => {
    writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', lora_alpha: 5 }));
    const key = `base_model.model.${Q}`;
    const tensors = pair(`${key}.lora_A.weight`, `${key}.lora_B.weight`);
    const path = await written(tensors, {}, 'adapter_model.safetensors');
    expect(scaleOf(openAdapter(path, pipeline), Q)).toBe(2.5);
  });

  it('come from alpha tensors before all', async () => {
    const tensors = { ...pair(A, B), [`unet.${Q}.alpha`]: { shape: [], value: 1 } };
    expect(scaleOf(openAdapter(await written(tensors, config({ lora_alpha: 8 })), pipeline), Q)).toBe(0.5);
  });

  it('are refused where they are none', async () => {
    const open = async (fields: object) => openAdapter(await written(pair(A, B), config(fields)), pipeline);
    await expect(open({ lora_alpha: 'x' })).rejects.toThrow('lora_alpha: expected a finite number, got "x"');
    await expect(open({ alpha_pattern: { '(': 1 } })).rejects.toThrow('expected a regular expression, got "("');
    await expect(open([])).rejects.toThrow('lora_adapter_metadata: expected a JSON object');
    await expect(open({ use_dora: true })).rejects.toThrow('expected LoRA, got "DoRA"');
    const alpha = { ...pair(A, B), [`unet.${Q}.alpha`]: { shape: [], value: Number.NaN } };
    const path = await written(alpha);
    expect(() => openAdapter(path, pipeline)).toThrow('expected one finite number');
  });
});

describe('a T-LoRA of LyCORIS', () => {
  const name = 'lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q';
  const tensors = {
    [`${name}.p_layer.weight`]: [4, 2],
    [`${name}.q_layer.weight`]: [2, 6],
    [`${name}.lambda_layer`]: [1, 2],
    [`${name}.alpha`]: { shape: [], value: 1 },
  };
  const args = (fields: object): Record<string, string> => ({ ss_network_args: JSON.stringify(fields) });

  it('starts from the components that it names, with its scale on lambda', async () => {
    const path = await written(tensors, args({ sig_type: 'last', use_data_init: 'True' }));
    const file = openAdapter(path, pipeline);
    expect(file.drawn).toMatchObject({ spec: { rank: 2, start: { from: 'weight', which: 'last' } }, assumed: false });
    expect([...file.change(`${Q}.lora_lambda.weight`)]).toEqual([0.5, 0.5]);
    expect(file.drawn!.scale(Q)).toBe(0.5);
    expect(file.mask).toEqual({ minRank: 1, alpha: 1, recorded: false });
    expect(openAdapter(path, pipeline, { start: 'middle' }).drawn!.spec.start.which).toBe('middle');
  });

  it('is assumed to start as LyCORIS does where it names nothing', async () => {
    const file = openAdapter(await written(tensors), pipeline);
    expect(file.drawn).toMatchObject({ spec: { start: { which: 'principal' } }, assumed: true });
    const config = { lycoris_config: JSON.stringify({ tlora_min_rank: 2, tlora_alpha: 1.5 }) };
    const { mask } = openAdapter(await written(tensors, config), pipeline);
    expect(mask).toEqual({ minRank: 2, alpha: 1.5, recorded: true });
  });

  it('is refused when its start is lost', async () => {
    const path = await written(tensors, args({ use_data_init: 'False' }));
    expect(() => openAdapter(path, pipeline)).toThrow('does not hold its start');
    const other = await written(tensors, args({ sig_type: 'first' }));
    expect(() => openAdapter(other, pipeline)).toThrow('sig_type: expected principal, last or middle, got "first"');
  });
});

describe('files that cannot be read', () => {
  const kohya = 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q';
  const good = pair(`${kohya}.lora_down.weight`, `${kohya}.lora_up.weight`);
  const text = 'lora_te2_text_model_encoder_layers_0_self_attn_q_proj';

  it.each([
    ['DoRA', { ...good, [`${kohya}.dora_scale`]: [4, 1] }, 'got DoRA'],
    ['DoRA of PEFT', { ...good, [`unet.${Q}.lora_magnitude_vector`]: [4] }, 'got DoRA'],
    ['LoHa', { [`${kohya}.hada_w1_a`]: [4, 2] }, 'got LoHa'],
    ['LoKr', { [`${kohya}.lokr_w1`]: [4, 2] }, 'got LoKr'],
    ['LoCon', { 'lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight': [2, 4, 3, 3] }, '3×3 convolution (LoCon)'],
    ['textual inversion', { ...good, 'bundle_emb.sks.clip_l': [1, 4] }, 'got a textual inversion'],
    [
      'a layer of another model',
      { 'lora_unet_up_blocks_9_x.lora_down.weight': [2, 6] },
      "got 'lora_unet_up_blocks_9_x",
    ],
    ['other sizes', pair(`${kohya}.lora_up.weight`, `${kohya}.lora_down.weight`), 'expected factors [4, r] and [r, 6]'],
    ['a missing factor', { [`${kohya}.lora_up.weight`]: [4, 2] }, "down of layer 'down_blocks_1"],
    ['only an alpha', { [`${kohya}.alpha`]: [] }, 'up of layer'],
    [
      'the same layer twice',
      { ...good, ...pair(`${Q}.lora_A.weight`, `${Q}.lora_B.weight`) },
      'expected each value once',
    ],
    ['both kinds', { ...good, [`${kohya}.lambda_layer`]: [1, 2] }, 'expected one kind of adapter, got two'],
    ['other keys', { ...good, 'conv_in.weight': [1] }, "tensor 'conv_in.weight': expected only adapter keys"],
    ['a second text encoder', { ...good, [`${text}.lora_up.weight`]: [4, 2] }, 'which has no text_encoder_2'],
    ['text encoders alone', { 'lora_te_x.lora_up.weight': [4, 2] }, "the model's text_encoder, got 'lora_te_x"],
  ])('are told by what is wrong with them: %s', async (_, tensors, message) => {
    const path = await written(tensors as Record<string, number[]>);
    expect(() => openAdapter(path, pipeline)).toThrow(message);
  });

  it('need the model', async () => {
    const path = await written(good);
    expect(() => openAdapter(path)).toThrow('expected the model that the adapter is for, got none');
  });
});
