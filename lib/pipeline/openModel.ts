import { type ModelFolder, openModelFolder } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { checkAutoencoder, checkClipText, checkUnet } from '../models/wholeModel.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import { textEncoderConfig } from './textStates.js';

/** A model folder of which every config, key and shape was checked. */
export interface OpenModel extends ModelFolder {
  /** Parameters of the UNet. */
  readonly unetParameters: number;
}

/**
 * Opens a model folder and checks all of it that can be checked without reading weights.
 * @throws FileFormatError, ConfigError
 */
export function openModel(dir: string): OpenModel {
  const model = openModelFolder(dir);
  const unetParameters = checkUnet(model.unet.tensors, readUnetConfig(model.unet.config));
  checkAutoencoder(model.vae.tensors, readAutoencoderConfig(model.vae.config));
  checkClipText('text_encoder', model.textEncoder.tensors, textEncoderConfig(model.textEncoder));
  if (model.textEncoder2) {
    checkClipText('text_encoder_2', model.textEncoder2.tensors, textEncoderConfig(model.textEncoder2));
  }
  noiseSchedule(model.scheduler);
  return { ...model, unetParameters };
}
