import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Metadata, Sharp } from 'sharp';
import { FileFormatError } from '../errors.js';
import { openError } from './fileBytes.js';
import { resampleLanczos } from './lanczos.js';
import { loadSharp } from './loadSharp.js';

export { encodePng, readPngText, writePng } from './png.js';

/** A picture ready for the VAE, and where it came from. All pairs are [height, width] or [top, left], in pixels. */
export interface Photo {
  /** [height, width, 3], RGB, 0 to 255. */
  pixels: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  /** Of the whole photo, turned upright. */
  originalSize: [height: number, width: number];
  /** Where the target lies in the photo after the photo is scaled so that it just covers the target. */
  cropTopLeft: [top: number, left: number];
  targetSize: [height: number, width: number];
}

/** Sides of a target; a number is a square. */
export type PhotoSize = number | { width: number; height: number };

/** Below one latent cell there is nothing to learn from. */
const MIN_SIDE = 8;

/**
 * Loads a picture at exactly `size`: turned upright by its EXIF orientation, cropped in the middle to the target's
 * proportions, resampled with Lanczos. Colours are brought to 8-bit sRGB; transparent parts show white.
 *
 * @param source a path, a file: URL, or the file's bytes (JPEG, PNG, WebP, AVIF, TIFF, GIF: the first frame).
 * @throws FileFormatError when it cannot be read as a picture, is a vector drawing, has other channels than of 8 or 16 bits or is less than 8
 * pixels wide or high.
 */
export async function loadPhoto(source: string | URL | Uint8Array, size: PhotoSize): Promise<Photo> {
  const target = typeof size === 'number' ? { width: size, height: size } : size;
  const name = source instanceof Uint8Array ? 'the picture' : source.toString();
  const bytes = await readSource(source, name);
  const sharp = await loadSharp();
  const decoder = (): Sharp => sharp(bytes, { failOn: 'error' });
  const metadata = await readable(name, () => decoder().metadata());
  expectDepth(name, metadata);
  const original = uprightSize(name, metadata);
  const crop = centreCrop(original, target);
  const rgb = decoder().autoOrient().extract(crop).flatten({ background: '#ffffff' }).toColourspace('srgb');
  const raw = await readable(name, () => rgb.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }));
  return {
    pixels: resampleLanczos(toRgb(raw.data, raw.info.channels), crop, target),
    ...target,
    originalSize: [original.height, original.width],
    cropTopLeft: cropAfterScaling(original, target),
    targetSize: [target.height, target.width],
  };
}

/** [h, w, 3] levels 0…255 to the range −1…1 that the VAE reads: level / 127.5 − 1. */
export function pixelsToSigned(pixels: Uint8Array): Float32Array<ArrayBuffer> {
  const signed = new Float32Array(pixels.length); // ten times faster than Float32Array.from with a function
  for (let i = 0; i < pixels.length; i++) signed[i] = pixels[i]! / 127.5 - 1;
  return signed;
}

/** The inverse of `pixelsToSigned`: clamped, rounded to the nearest level (ties to even). */
export function signedToPixels(signed: Float32Array): Uint8Array<ArrayBuffer> {
  const clamped = Uint8ClampedArray.from(signed, (value) => (value + 1) * 127.5);
  return new Uint8Array(clamped.buffer);
}

interface Size {
  width: number;
  height: number;
}

async function readSource(source: string | URL | Uint8Array, name: string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof URL && source.protocol !== 'file:') {
    throw new FileFormatError(`${name}: expected a file: URL, got ${source.protocol}`, {
      hint: 'Download the picture first and give its path.',
    });
  }
  try {
    return await readFile(source instanceof URL ? fileURLToPath(source) : source);
  } catch (error) {
    throw openError(name, error);
  }
}

async function readable<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(`${name}: cannot be read as a picture: ${reason}`, {
      cause,
      hint: 'Give a whole JPEG, PNG, WebP, AVIF or TIFF file; convert other formats (such as HEIC) first.',
    });
  }
}

/** What white is in other numbers is anyone's guess: 1, 255, 65535. */
function expectDepth(name: string, { depth }: Metadata): void {
  if (depth === undefined || depth === 'uchar' || depth === 'ushort') return;
  throw new FileFormatError(`${name}: expected 8 or 16 bits a channel, got numbers of the type ${depth}`, {
    hint: 'Export it with 8 bits a channel.',
  });
}

function uprightSize(name: string, { format, autoOrient }: Metadata): Size {
  if (format === 'svg' || format === 'pdf') {
    throw new FileFormatError(`${name}: expected a photo, got a vector drawing (${format})`, {
      hint: 'Export it as PNG at the size to be learnt.',
    });
  }
  const { width, height } = autoOrient;
  if (Math.min(width, height) >= MIN_SIDE) return { width, height };
  throw new FileFormatError(`${name}: expected at least ${MIN_SIDE}×${MIN_SIDE} pixels, got ${width}×${height}`, {
    hint: 'Give a larger picture.',
  });
}

/** The largest part of the middle with the target's proportions, in whole pixels. */
function centreCrop(original: Size, target: Size): Size & { left: number; top: number } {
  const scale = Math.min(original.width / target.width, original.height / target.height);
  const width = Math.max(1, Math.min(original.width, Math.round(target.width * scale)));
  const height = Math.max(1, Math.min(original.height, Math.round(target.height * scale)));
  return {
    width,
    height,
    left: Math.floor((original.width - width) / 2),
    top: Math.floor((original.height - height) / 2),
  };
}

function cropAfterScaling(original: Size, target: Size): [top: number, left: number] {
  const scale = Math.max(target.width / original.width, target.height / original.height);
  const offset = (side: number, wanted: number): number =>
    Math.max(0, Math.floor((Math.round(side * scale) - wanted) / 2));
  return [offset(original.height, target.height), offset(original.width, target.width)];
}

/** Three channels from what the decoder gives: gray has one; more than three are rare (a TIFF may have spare ones). */
function toRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3) * channels + (channels > 3 ? i % 3 : 0)]!;
  return rgb;
}
