import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { familyOf, saveKohyaFile } from '../../lib/adapters/kohyaFile.js';
import { adaptableLayers } from '../../lib/adapters/modelLayers.js';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { savePeftFile } from '../../lib/adapters/peftFile.js';
import type { PlainAdapter, PlainLayer } from '../../lib/adapters/plainLayers.js';
import { readSafetensorsHeader } from '../../lib/io/safetensors.js';

const dir = mkdtempSync(join(tmpdir(), 'tlora-plain-'));
afterAll(() => rmSync(dir, { recursive: true }));

const Q = 'down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q';
const PROJ = 'mid_block.attentions.0.proj_in';
const TEXT = 'text_model.encoder.layers.0.mlp.fc1';

function layer(model: PlainLayer['model'], path: string, rank: number, convolution?: true): PlainLayer {
  const ones = (count: number): Float32Array => new Float32Array(count).fill(1);
  const factors = () => ({ rank, up: ones(4 * rank), down: ones(6 * rank) });
  return { model, path, in: 6, out: 4, rank, factors, ...(convolution && { convolution }) };
}

const adapter: PlainAdapter = {
  layers: [
    layer('unet', Q, 4),
    layer('unet', PROJ, 1, true),
    layer('text_encoder', TEXT, 4),
    layer('text_encoder_2', TEXT, 2),
  ],
  dtype: 'F16',
  name: 'sks',
  trigger: 'sks dog',
  metadata: { more: 'x' },
};

const weights = (shapes: Record<string, number[]>) =>
  adaptableLayers(new Map(Object.entries(shapes).map(([path, shape]) => [`${path}.weight`, { shape }])));
/** They tell how the original checkpoints number their blocks. */
const RESNETS = Object.fromEntries([0, 1].map((block) => [`down_blocks.${block}.resnets.1.time_emb_proj`, [4, 8]]));
const pipeline = new Map([
  ['unet' as const, weights({ ...RESNETS, [Q]: [4, 6], [PROJ]: [4, 6, 1, 1] })],
  ['text_encoder' as const, weights({ [TEXT]: [4, 6] })],
  ['text_encoder_2' as const, weights({ [TEXT]: [4, 6] })],
]);

/** The first entry of each layer's up·down, by what the file says. */
function read(path: string): Record<string, number> {
  const file = openAdapter(path, pipeline);
  const all = [['unet', file] as const, ...file.text].flatMap(([model, own]) =>
    own.layers.map(({ path: of, rank }) => {
      const [up, down] = [own.change(`${of}.lora_up.weight`), own.change(`${of}.lora_down.weight`)];
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += up[r]! * down[6 * r]!;
      return [`${model} ${of}`, sum] as const;
    }),
  );
  return Object.fromEntries(all);
}

const SUMS = { [`unet ${Q}`]: 4, [`unet ${PROJ}`]: 1, [`text_encoder ${TEXT}`]: 4, [`text_encoder_2 ${TEXT}`]: 2 };

describe('kohya’s layout', () => {
  it('has original names for SDXL, one alpha, and the scale of smaller ranks in their factors', async () => {
    const path = join(dir, 'kohya.safetensors');
    await saveKohyaFile(path, adapter, 'sdxl');
    const { tensors, metadata } = readSafetensorsHeader(path);
    const shapes = Object.fromEntries([...tensors].map(([key, { shape }]) => [key, shape]));
    expect(shapes).toMatchObject({
      'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight': [4, 6],
      'lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.alpha': [],
      'lora_unet_middle_block_1_proj_in.lora_up.weight': [4, 1, 1, 1],
      'lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight': [4, 4],
      'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight': [4, 2],
    });
    expect(metadata).toMatchObject({
      ss_base_model_version: 'sdxl_base_v1-0',
      ss_network_dim: '4',
      ss_network_alpha: '4',
      'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora',
      'modelspec.trigger_phrase': 'sks dog',
      more: 'x',
    });
    expect(read(path)).toEqual(SUMS);
  });

  it('has diffusers’ names for Stable Diffusion', async () => {
    const path = join(dir, 'sd.safetensors');
    await saveKohyaFile(path, { ...adapter, layers: adapter.layers.slice(0, 3) }, 'sd1');
    const keys = [...readSafetensorsHeader(path).tensors.keys()];
    expect(keys).toContain('lora_unet_mid_block_attentions_0_proj_in.lora_up.weight');
    expect(keys).toContain('lora_te_text_model_encoder_layers_0_mlp_fc1.alpha');
  });

  it('is told which model by its layers', () => {
    const first = 'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k';
    expect(
      [
        [Q, 1024],
        [first, 768],
        [first, 1024],
      ].map(([path, width]) => familyOf([{ path: `${path}`, in: Number(width) }])),
    ).toEqual(['sdxl', 'sd1', 'sd2']);
  });
});

describe.each(['peft', 'diffusers'] as const)('the layout %s', (dialect) => {
  it('names alpha where ranks differ, and only there', async () => {
    const path = join(dir, `${dialect}.safetensors`);
    await savePeftFile(path, adapter, dialect);
    const { metadata } = readSafetensorsHeader(path);
    expect(JSON.parse(metadata.lora_adapter_metadata!)).toMatchObject({
      'unet.r': 4,
      'unet.alpha_pattern': { [PROJ]: 1 },
      'text_encoder_2.lora_alpha': 2,
    });
    expect(read(path)).toEqual(SUMS);
    await savePeftFile(path, { ...adapter, layers: [adapter.layers[0]!] }, dialect);
    expect(readSafetensorsHeader(path).metadata).toEqual({ format: 'pt', more: 'x' });
  });
});
