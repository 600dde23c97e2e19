import { readFile } from 'node:fs/promises';
import { openError } from './fileBytes.js';
import { loadSharp } from './loadSharp.js';

/** Larger pictures are scaled down to this side, in pixels. */
const MOST = 512;
/** Up to this side pictures are kept without loss. */
const LOSSLESS = 128;

/** A picture that a page can hold in itself. */
export interface EmbeddedPicture {
  /** data: URI. */
  readonly uri: string;
  readonly width: number;
  readonly height: number;
}

type Raw = { readonly pixels: Uint8Array; readonly width: number; readonly height: number };

/**
 * A picture of a file, or of RGB pixels [height, width, 3], as a data: URI: PNG where it is small, else WebP of at most 512 pixels.
 * @throws FileFormatError for a file that cannot be opened
 */
export async function embedPicture(source: string | Raw): Promise<EmbeddedPicture> {
  const sharp = await loadSharp();
  const opened =
    typeof source === 'string'
      ? sharp(await bytesOf(source)).autoOrient()
      : sharp(source.pixels, { raw: { width: source.width, height: source.height, channels: 3 } });
  const fitted = opened.resize({ width: MOST, height: MOST, fit: 'inside', withoutEnlargement: true });
  const { data: raw, info } = await fitted.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const small = Math.max(width, height) <= LOSSLESS;
  const image = sharp(raw, { raw: { width, height, channels } });
  const data = await (small ? image.png() : image.webp({ quality: 84 })).toBuffer();
  return { uri: `data:image/${small ? 'png' : 'webp'};base64,${data.toString('base64')}`, width, height };
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw openError(path, error);
  }
}
