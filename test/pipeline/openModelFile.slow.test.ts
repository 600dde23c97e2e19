// Files with the header of a true model and no values: what a file tells without any config.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { autoencoderModules, renameModule, unetModules } from '../../lib/io/originalKeys.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { readClipTextConfig } from '../../lib/models/clipTextConfig.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { planTraining } from '../../lib/train/forecast.js';
import { modelDigest } from '../../lib/train/inputDigest.js';
import { convertersKeys, type Described, writeHeaders, writeOriginalFile } from '../support/originalFile.js';

type ComponentName = 'unet' | 'vae' | 'text_encoder' | 'text_encoder_2';
interface Scripts {
  SHAPES: Record<string, Record<ComponentName | 'scheduler', Record<string, unknown>>>;
  componentsOf(shape: string): { name: ComponentName; tensors: Described[] }[];
  tokenizerFolders(pads: string[]): Record<string, string>[];
  makeModel(settings: { shape: string; out: string; dtype: string; seed: number }): void;
}
const scripts = new URL('../../scripts/', import.meta.url);
const imported = await Promise.all(
  ['model-shapes.mjs', 'clip-vocabulary.mjs', 'make-random-model.mjs'].map(
    (name) => import(new URL(name, scripts).href) as Promise<object>,
  ),
);
const { SHAPES, componentsOf, tokenizerFolders, makeModel } = Object.assign({}, ...imported) as Scripts;

const OPEN_CLIP: readonly (readonly [RegExp, string])[] = [
  [/^text_model\.embeddings\.token_embedding\./, 'token_embedding.'],
  [/^text_model\.embeddings\.position_embedding\.weight/, 'positional_embedding'],
  [/^text_model\.final_layer_norm\./, 'ln_final.'],
  [/^text_model\.encoder\.layers\./, 'transformer.resblocks.'],
  [/\.layer_norm(\d)\./, '.ln_$1.'],
  [/\.fc1\./, '.c_fc.'],
  [/\.fc2\./, '.c_proj.'],
  [/\.self_attn\.out_proj\./, '.attn.out_proj.'],
  [/\.self_attn\.q_proj\./, '.attn.in_proj_'],
  [/^text_projection\.weight/, 'text_projection'],
];

/** A text encoder as OpenCLIP has it. */
function openClip(tensors: readonly Described[]): Described[] {
  const read = tensors.filter(({ key }) => !/\.[kv]_proj\./.test(key));
  return read.map(({ key, shape: [rows = 1, ...sizes] }) => {
    const original = OPEN_CLIP.reduce((name, [pattern, to]) => name.replace(pattern, to), key);
    return { key: original, shape: [original.includes('in_proj') ? 3 * rows : rows, ...sizes] };
  });
}

/** A last layer that is in the files of SD 2.x and not in the model. */
function withLastLayer(tensors: readonly Described[], layer: number): Described[] {
  const last = `resblocks.${layer - 1}.`;
  const copy = tensors.filter(({ key }) => key.includes(last));
  return [...tensors, ...copy.map(({ key, shape }) => ({ key: key.replace(last, `resblocks.${layer}.`), shape }))];
}

const under = (prefix: string, tensors: readonly Described[]): Described[] =>
  tensors.map(({ key, shape }) => ({ key: prefix + key, shape }));

/** What a file of a model of full size holds. */
function originals(shape: string): Described[] {
  const of = (name: ComponentName): Described[] =>
    componentsOf(shape).find((component) => component.name === name)?.tensors ?? [];
  const unet = unetModules(readUnetConfig(SHAPES[shape]!.unet));
  const vae = autoencoderModules(readAutoencoderConfig(SHAPES[shape]!.vae));
  const attention = /\.attn_1\.(q|k|v|proj_out)\.weight$/;
  const ends = [
    ...under(
      'model.diffusion_model.',
      of('unet').map((t) => ({ ...t, key: renameModule(unet, t.key)! })),
    ),
    ...under(
      'first_stage_model.',
      of('vae').map((t) => ({ ...t, key: renameModule(vae, t.key)! })),
    ).map((t) => (attention.test(t.key) ? { ...t, shape: [...t.shape, 1, 1].slice(0, 4) } : t)),
  ];
  if (shape === 'sd15') return [...ends, ...under('cond_stage_model.transformer.', of('text_encoder'))];
  if (shape === 'sd21') {
    const width = SHAPES.sd21!.text_encoder.hidden_size as number;
    const text = [...withLastLayer(openClip(of('text_encoder')), 23), { key: 'text_projection', shape: [width, 512] }];
    return [...ends, ...under('cond_stage_model.model.', [...text, { key: 'logit_scale', shape: [] }])];
  }
  return [
    ...ends,
    ...under('conditioner.embedders.0.transformer.', of('text_encoder')),
    ...under('conditioner.embedders.1.model.', openClip(of('text_encoder_2'))),
  ];
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-originals-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** A folder with tokenizers alone. */
function tokenizers(name: string, more: Record<string, unknown> = {}): string {
  const folder = join(dir, name);
  for (const [i, files] of tokenizerFolders(['<|endoftext|>', '!']).entries()) {
    const to = join(folder, ['tokenizer', 'tokenizer_2'][i]!);
    mkdirSync(to, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(to, file), text);
  }
  for (const [path, value] of Object.entries(more)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), JSON.stringify(value));
  }
  return folder;
}

/** What training and sampling read of the configs. */
function configs(
  model: Pick<OpenModel, 'scheduler'> & Record<'unet' | 'vae' | 'textEncoder', { config: object }>,
  second?: object,
): object {
  const { config: _config, ...noise } = noiseSchedule(model.scheduler);
  return {
    unet: readUnetConfig(model.unet.config),
    vae: readAutoencoderConfig(model.vae.config),
    text: readClipTextConfig(model.textEncoder.config, 'text_encoder'),
    text2: second && readClipTextConfig(second, 'text_encoder_2'),
    noise,
  };
}

describe('a file of full size', () => {
  it.each([
    ['sd15', 859_520_964],
    ['sd21', 865_910_724],
    ['sdxl', 2_567_463_684],
  ])('%s: keys and shapes give the configs of its folder', (shape, parameters) => {
    const path = join(dir, `${shape}.safetensors`);
    writeHeaders(path, originals(shape));
    const given = SHAPES[shape]!;
    const scheduler = shape === 'sd21' ? { 'scheduler/scheduler_config.json': given.scheduler } : {};
    const model = openModel(path, tokenizers(`tokenizers-${shape}`, scheduler));
    expect(model.unetParameters).toBe(parameters);
    expect(model).toMatchObject({ kind: shape === 'sdxl' ? 'sdxl' : 'sd', zerosForEmptyPrompt: shape === 'sdxl' });
    const component = (name: ComponentName): { config: object } => ({ config: given[name] });
    const theirs = { unet: component('unet'), vae: component('vae'), textEncoder: component('text_encoder') };
    expect(configs(model, model.textEncoder2?.config)).toEqual(
      configs({ ...theirs, scheduler: given.scheduler }, given.text_encoder_2),
    );
    rmSync(path);
  });

  it('sd21 needs to be told what it predicts, and has a size by that', () => {
    const path = join(dir, 'sd21.safetensors');
    writeHeaders(path, originals('sd21'));
    expect(() => openModel(path, tokenizers('tokenizers'))).toThrow(
      /config: expected scheduler\/scheduler_config\.json in it.*sd21\.safetensors, got none/,
    );
    const { scheduler } = SHAPES.sd21!;
    const epsilon = { 'scheduler/scheduler_config.json': { ...scheduler, prediction_type: 'epsilon' } };
    expect(openModel(path, tokenizers('epsilon', epsilon)).unet.config.sample_size).toBe(64);
    for (const [said, type, size] of [
      ['v', 'v_prediction', 96],
      ['epsilon', 'epsilon', 64],
    ] as const) {
      writeHeaders(path, originals('sd21'), { 'modelspec.prediction_type': said });
      const told = openModel(path, tokenizers('told'));
      expect([told.scheduler.prediction_type, told.unet.config.sample_size]).toEqual([type, size]);
    }
    rmSync(path);
  });

  it('sdxl that is marked as predicting v', () => {
    const path = join(dir, 'v.safetensors');
    const marks = ['v_pred', 'ztsnr'].map((key) => ({ key, shape: [0] }));
    writeHeaders(path, [...originals('sdxl'), ...marks]);
    expect(openModel(path, tokenizers('marked')).scheduler).toMatchObject({
      prediction_type: 'v_prediction',
      rescale_betas_zero_snr: true,
    });
    const given = tokenizers('given', { 'scheduler/scheduler_config.json': SHAPES.sdxl!.scheduler });
    expect(() => openModel(path, given)).toThrow(/expected the prediction type "epsilon".*got a model that predicts v/);
    rmSync(path);
  });
});

describe('the tiny pipelines', () => {
  it.each([
    ['tiny-sd21', 'tiny-sd15', undefined],
    ['tiny-sdxl', 'tiny-sdxl', 'text_encoder_2'],
  ])('%s has in a file what its folder has', async (keys, shape, second) => {
    const folder = join(dir, keys);
    makeModel({ shape, out: folder, dtype: 'float16', seed: 0 });
    const path = join(dir, `${keys}.safetensors`);
    await writeOriginalFile(path, folder, convertersKeys(keys));
    const [ours, theirs] = [openModel(path, folder), openModel(folder)];
    expect(modelDigest(ours)).toBe(modelDigest(theirs));
    expect(ours.textEncoder2?.name).toBe(second);
    const plans = [planTraining({ model: path, config: folder, rank: 4 }), planTraining({ model: folder, rank: 4 })];
    expect(plans[0]!.forecast).toEqual(plans[1]!.forecast);
  });
});
