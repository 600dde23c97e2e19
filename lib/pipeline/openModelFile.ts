import { FileFormatError } from '../errors.js';
import { type ConfigFolder, openConfigFolder } from '../io/configFolder.js';
import type { Component, ModelFiles } from '../io/modelFolder.js';
import { derivedConfig, derivedSampleSize, derivedScheduler } from '../io/originalConfigs.js';
import { type OriginalFile, readOriginalFile, unknownKeys } from '../io/originalFile.js';
import { autoencoderModules, renameModule, reversed, unetModules } from '../io/originalKeys.js';
import { type NamedTensor, openClipLayer, openClipTensors } from '../io/originalText.js';
import { type ComponentName, canonicalTensors } from '../io/renamedKeys.js';
import type { TensorRef } from '../io/safetensors.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';

/** The tensors of a component that one of the file holds, by diffusers' keys; none: the component has no such tensor. */
type Rename = (key: string, ref: TensorRef) => readonly NamedTensor[];

type Config = Record<string, unknown>;

/**
 * Opens a single-file checkpoint in the original layout as the pipeline that it stands for: reads headers and configs, no weights.
 * @param config a folder in diffusers layout with the tokenizers; its configs hold, and those that it lacks come from the file's shapes
 * @throws FileFormatError, ConfigError
 */
export function openModelFile(path: string, config: string | undefined): ModelFiles {
  const file = readOriginalFile(path);
  const folder = openConfigFolder(config, file);
  const scheduler = folder.scheduler ?? derivedScheduler(file);
  expectPrediction(file, scheduler);
  const parts = {
    path,
    kind: file.family === 'sdxl' ? ('sdxl' as const) : ('sd' as const),
    zerosForEmptyPrompt: folder.zerosForEmptyPrompt,
    unet: unet(file, folder, scheduler),
    vae: autoencoder(file, folder),
    textEncoder: textEncoder(file, folder, 'text_encoder'),
    tokenizer: folder.tokenizer,
    scheduler,
  };
  if (folder.tokenizer2 === undefined) return parts;
  return { ...parts, textEncoder2: textEncoder(file, folder, 'text_encoder_2'), tokenizer2: folder.tokenizer2 };
}

function expectPrediction({ path, predictsV }: OriginalFile, { prediction_type: type = 'epsilon' }: Config): void {
  if (!predictsV || type === 'v_prediction') return;
  throw new FileFormatError(
    `${path}: expected the prediction type ${JSON.stringify(type)}, as the scheduler_config.json has it, got a model that predicts v`,
    {
      hint: 'The file is marked as predicting v: give the scheduler folder of this model in --config, or none.',
    },
  );
}

function sourceOf({ path }: OriginalFile, name: ComponentName, given: Config | undefined): string {
  return given ? `${name}/config.json` : `${name} as derived from ${path}; another one can be given in --config`;
}

function unet(file: OriginalFile, folder: ConfigFolder, scheduler: Config): Component {
  const given = folder.config('unet');
  const sample = { sample_size: derivedSampleSize(file.family, scheduler) };
  const config = given ?? { ...derivedConfig(file, 'unet'), ...sample };
  const names = reversed(unetModules(readUnetConfig(config, sourceOf(file, 'unet', given))));
  return component(
    file,
    'unet',
    config,
    byModule((key) => renameModule(names, key)),
  );
}

function autoencoder(file: OriginalFile, folder: ConfigFolder): Component {
  const given = folder.config('vae');
  const config = given ?? derivedConfig(file, 'vae');
  const names = reversed(autoencoderModules(readAutoencoderConfig(config, sourceOf(file, 'vae', given))));
  return component(
    file,
    'vae',
    config,
    byModule((key) => renameModule(names, key)),
  );
}

function textEncoder(file: OriginalFile, folder: ConfigFolder, name: 'text_encoder' | 'text_encoder_2'): Component {
  const config = folder.config(name) ?? derivedConfig(file, name);
  const isOpenClip = name === 'text_encoder_2' || file.family === 'sd2';
  if (!isOpenClip)
    return component(
      file,
      name,
      config,
      byModule((key) => key),
    );
  // the last layer of SD 2.x is in its files and not in its model
  const unread = file.family === 'sd2' ? config.num_hidden_layers : undefined;
  const skips = (key: string): boolean => unread !== undefined && openClipLayer(key) === unread;
  return component(file, name, config, openClipTensors, skips);
}

const byModule =
  (rename: (key: string) => string | undefined): Rename =>
  (key, ref) => {
    const ours = rename(key);
    return ours === undefined ? [] : [[ours, ref]];
  };

function component(
  { path, components }: OriginalFile,
  name: ComponentName,
  config: Config,
  rename: Rename,
  skips: (key: string) => boolean = () => false,
): Component {
  const stored = [...components.get(name)!].filter(([key]) => !skips(key));
  const named = stored.map(([key, ref]) => rename(key, ref));
  const unknown = stored.filter((_, i) => named[i]!.length === 0).map(([, ref]) => ref.key);
  if (unknown.length > 0) throw unknownKeys(path, unknown);
  return { name, config, tensors: canonicalTensors(name, path, named.flat()) };
}
