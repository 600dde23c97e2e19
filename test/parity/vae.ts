import { loadPhoto, pixelsToSigned } from '../../lib/io/image.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { decodeLatents, encodePicture } from '../../lib/pipeline/pictures.js';
import { releaseComponent } from '../../lib/pipeline/session.js';
import { encodePhotos } from '../../lib/train/pictureLatents.js';
import { BOUNDS } from './bounds.js';
import type { Checks } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { type Reference, sides } from './reference.js';

/** The photo's pixels, the encoder's distribution, a draw from it, and the decoder on its mean. */
export async function checkVae(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  if (reference.has('pixels_u8')) await checkPixels(pipeline, reference, checks);
  await checkEncoder(pipeline, reference, checks);
  await checkDecoder(pipeline, reference, checks);
  releaseComponent(pipeline.session, pipeline.model.vae);
}

async function checkPixels({ photo }: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const [height, width] = reference.shape('pixels_u8') as [number, number];
  const theirs = Uint8Array.from(reference.ints('pixels_u8'));
  const image = { name: 'image', ours: pixelsToSigned(theirs), theirs: reference.channelsLast('image') };
  checks.each('image from pixels_u8', [image], BOUNDS.vaeEncode);
  if (photo === undefined) return;
  const { pixels } = await loadPhoto(photo, { width, height });
  const sum = pixels.reduce((total, level, i) => total + Math.abs(level - theirs[i]!), 0);
  checks.bounded('photo, mean difference in levels', sum / theirs.length, BOUNDS.photo);
}

async function checkEncoder({ session, model }: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const [, , height, width] = sides(reference.shape('image'));
  const { mean, logvar } = await encodePicture(session, model.vae, reference.channelsLast('image'), height, width);
  const compare = (name: string, ours: Float32Array): void =>
    checks.each(name, [{ name, ours, theirs: reference.channelsLast(name) }], BOUNDS.vaeEncode);
  compare('mean', mean);
  compare('logvar', logvar);
  if (!reference.has('eps')) return;
  const pixels = Uint8Array.from(reference.ints('pixels_u8'));
  const size: [number, number] = [height, width];
  const photo = {
    pixels,
    width,
    height,
    originalSize: size,
    cropTopLeft: [0, 0] as [number, number],
    targetSize: size,
  };
  const scaled = await encodePhotos(session, model.vae, [photo]);
  const eps = reference.channelsLast('eps');
  compare(
    'latents',
    eps.map((e, i) => scaled.mean[0]![i]! + scaled.std[0]![i]! * e),
  );
}

async function checkDecoder({ session, model }: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const { scalingFactor } = readAutoencoderConfig(model.vae.config);
  if (reference.metadata('scaling_factor') !== undefined) {
    checks.holds('scaling_factor', reference.number('scaling_factor') === scalingFactor);
  }
  const [, , height, width] = sides(reference.shape('mean'));
  const latents = reference.channelsLast('mean').map((v) => v * scalingFactor);
  const { image } = await decodeLatents(session, model.vae, latents, height, width);
  const theirs = reference.channelsLast('decoded_mean');
  checks.each('decoded_mean', [{ name: 'decoded_mean', ours: image, theirs }], BOUNDS.vaeDecode);
}
