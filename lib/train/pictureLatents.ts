import { ConfigError } from '../errors.js';
import { loadPhoto, type Photo, pixelsToSigned } from '../io/image.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import type { TimeIds } from '../pipeline/conditions.js';
import { encodePicture } from '../pipeline/pictures.js';
import type { Session } from '../pipeline/session.js';
import type { PictureSource } from './options.js';

/** Latents of the training pictures, scaled as the UNet has them, channels last, one array a picture. */
export interface TrainingLatents {
  readonly height: number;
  readonly width: number;
  readonly mean: readonly Float32Array[];
  readonly std: readonly Float32Array[];
}

/** SDXL's size conditions of a photo. */
export function photoTimeIds({ originalSize, cropTopLeft, targetSize }: Photo): TimeIds {
  return [...originalSize, ...cropTopLeft, ...targetSize];
}

/**
 * The side at which to train: the given one, or the model's own.
 * @throws ConfigError if it is no multiple of the autoencoder's factor
 */
export function trainingResolution(vae: Component, sampleSize: number | null, given: number | undefined): number {
  const { downscale } = readAutoencoderConfig(vae.config);
  const side = given ?? (sampleSize ?? 64) * downscale;
  if (side % downscale === 0) return side;
  throw new ConfigError(`resolution: expected a multiple of ${downscale} for this model, got ${side}`, {
    hint: `Use ${Math.round(side / downscale) * downscale}.`,
  });
}

/** Loads the pictures at a square of `side` pixels. */
export async function loadPhotos(sources: readonly PictureSource[], side: number): Promise<Photo[]> {
  const photos: Photo[] = [];
  for (const source of sources) photos.push(await loadPhoto(source, side));
  return photos;
}

/** A sentence for each picture that is smaller than what is trained on. */
export function enlargedNotices(sources: readonly PictureSource[], photos: readonly Photo[]): string[] {
  return photos.flatMap(({ originalSize: [height, width], targetSize: [side] }, i) => {
    if (Math.min(height, width) >= side) return [];
    const source = sources[i]!;
    const name = source instanceof Uint8Array ? `picture ${i + 1}` : source.toString();
    return [
      `${name} has ${width}×${height} pixels and is enlarged to ${side}×${side}: it is learnt as blurred as that`,
    ];
  });
}

/** Encodes the pictures one after the other. */
export async function encodePhotos(
  session: Session,
  vae: Component,
  photos: readonly Photo[],
): Promise<TrainingLatents> {
  const { scalingFactor } = readAutoencoderConfig(vae.config);
  const mean: Float32Array[] = [];
  const std: Float32Array[] = [];
  let size = { height: 0, width: 0 };
  for (const photo of photos) {
    const encoded = await encodePicture(session, vae, pixelsToSigned(photo.pixels), photo.height, photo.width);
    mean.push(encoded.mean.map((v) => v * scalingFactor));
    std.push(encoded.logvar.map((v) => Math.exp(0.5 * v) * scalingFactor));
    size = { height: encoded.height, width: encoded.width };
  }
  return { ...size, mean, std };
}

/** The latents of the pictures that a batch shows. */
export function latentFeeds(latents: TrainingLatents, pictures: readonly number[]): Record<string, Float32Array> {
  const join = (arrays: readonly Float32Array[]): Float32Array => {
    const size = arrays[0]!.length;
    const joined = new Float32Array(pictures.length * size);
    pictures.forEach((picture, i) => {
      joined.set(arrays[picture]!, i * size);
    });
    return joined;
  };
  return { latentMean: join(latents.mean), latentStd: join(latents.std) };
}
