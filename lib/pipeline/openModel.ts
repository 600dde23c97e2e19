import { ConfigError } from '../errors.js';
import { type ModelFiles, openModelFolder } from '../io/modelFolder.js';
import { isFilePath } from '../io/originalFile.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { checkAutoencoder, checkClipText, checkUnet } from '../models/wholeModel.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import { openModelFile } from './openModelFile.js';
import { textEncoderConfig } from './textStates.js';

/** A model of which every config, key and shape was checked. */
export interface OpenModel extends ModelFiles {
  /** Parameters of the UNet. */
  readonly unetParameters: number;
}

/**
 * Opens a model and checks all of it that can be checked without reading weights.
 * @param path a folder in diffusers layout, or a single file in the original layout
 * @param config with a single file: the folder with its tokenizers and, where it has any, configs
 * @throws FileFormatError, ConfigError
 */
export function openModel(path: string, config?: string): OpenModel {
  const model = openFiles(path, config);
  const unetParameters = checkUnet(model.unet.tensors, readUnetConfig(model.unet.config));
  checkAutoencoder(model.vae.tensors, readAutoencoderConfig(model.vae.config));
  checkClipText('text_encoder', model.textEncoder.tensors, textEncoderConfig(model.textEncoder));
  if (model.textEncoder2) {
    checkClipText('text_encoder_2', model.textEncoder2.tensors, textEncoderConfig(model.textEncoder2));
  }
  noiseSchedule(model.scheduler);
  return { ...model, unetParameters };
}

function openFiles(path: string, config: string | undefined): ModelFiles {
  if (isFilePath(path)) return openModelFile(path, config);
  if (config === undefined) return openModelFolder(path);
  throw new ConfigError(`config: expected none with a model folder, which has configs of its own, got '${config}'`, {
    hint: 'Give --config only with a single file.',
  });
}
