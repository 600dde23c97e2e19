import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import { loadPhoto, type PhotoSize, pixelsToSigned, signedToPixels } from '../../lib/io/image.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-image-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Channels = 1 | 2 | 3 | 4;

/** A picture with something to resample everywhere: waves of several lengths, different in each channel. */
function waves(width: number, height: number, channels: Channels = 3): Uint8Array {
  const pixels = new Uint8Array(width * height * channels);
  for (let i = 0; i < pixels.length; i++) {
    const channel = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / channels / width);
    const wave = Math.sin(x / (3 + channel)) + Math.sin((x + 2 * y) / 17) + Math.cos(y / (5 - channel));
    pixels[i] = Math.round(127.5 + 42 * wave);
  }
  return pixels;
}

const image = (width: number, height: number, channels: Channels = 3, pixels = waves(width, height, channels)) =>
  sharp(pixels, { raw: { width, height, channels } });
/** A gray TIFF of float32 from 0 to 1, `side` × `side`. */
function floatTiff(side: number): Buffer {
  const data = Float32Array.from({ length: side * side }, (_, i) => i / (side * side));
  // width, height, bits, no compression, black is 0, where, channels, rows, bytes, floats
  const tags = [256, 257, 258, 259, 262, 273, 277, 278, 279, 339];
  const values = [side, side, 32, 1, 1, 8, 1, side, data.byteLength, 3];
  const directory = Buffer.alloc(2 + 12 * tags.length + 4);
  directory.writeUInt16LE(tags.length, 0);
  for (const [i, tag] of tags.entries()) {
    directory.writeUInt16LE(tag, 2 + 12 * i);
    directory.writeUInt16LE(4, 4 + 12 * i); // LONG
    directory.writeUInt32LE(1, 6 + 12 * i);
    directory.writeUInt32LE(values[i]!, 10 + 12 * i);
  }
  const head = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(8 + data.byteLength, 4);
  return Buffer.concat([head, Buffer.from(data.buffer), directory]);
}

const png = (width: number, height: number, channels: Channels = 3): Promise<Buffer> =>
  image(width, height, channels).png().toBuffer();

/** Weights of the Lanczos kernel of three lobes, widened by the scale, for each of `to` outputs. */
function lanczosWeights(from: number, to: number): { start: number; weights: number[] }[] {
  const scale = Math.max(1, from / to);
  const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to;
    const start = Math.max(0, Math.floor(centre - 3 * scale));
    const end = Math.min(from, Math.ceil(centre + 3 * scale));
    const weights = Array.from({ length: end - start }, (_, j) => {
      const x = (start + j + 0.5 - centre) / scale;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/** The definition of what `loadPhoto` does to an RGB picture, in float64. */
function resampled(pixels: Uint8Array, width: number, height: number, toWidth: number, toHeight: number): number[] {
  const across = lanczosWeights(width, toWidth);
  const down = lanczosWeights(height, toHeight);
  const rows = Array.from({ length: height }, (_, y) =>
    across.flatMap(({ start, weights }) =>
      [0, 1, 2].map((c) => weights.reduce((sum, w, j) => sum + w * pixels[(y * width + start + j) * 3 + c]!, 0)),
    ),
  );
  return down.flatMap(({ start, weights }) =>
    rows[0]!.map((_, x) => {
      const value = weights.reduce((sum, w, j) => sum + w * rows[start + j]![x]!, 0);
      return Math.min(255, Math.max(0, Math.round(value)));
    }),
  );
}

const meanDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((sum, difference) => sum + difference, 0) / a.length;

/** Every pixel of a square photo as one colour per quarter: top left, top right, bottom left, bottom right. */
function quarters({ pixels, width, height }: { pixels: Uint8Array; width: number; height: number }): number[][] {
  const at = (x: number, y: number): number[] => [...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
  const [left, right, top, bottom] = [width >> 2, width - (width >> 2), height >> 2, height - (height >> 2)] as const;
  return [at(left, top), at(right, top), at(left, bottom), at(right, bottom)];
}

describe('crop and resampling', () => {
  test.each<[string, number, number, PhotoSize]>([
    ['a square, shrunk', 300, 300, 128],
    ['a square, by less than two', 200, 200, 128],
    ['a square, enlarged', 50, 50, 64],
    ['to a wide target', 300, 150, { width: 128, height: 64 }],
  ])('%s: Lanczos to less than half a level', async (_, width, height, size) => {
    const photo = await loadPhoto(await png(width, height), size);
    const expected = resampled(waves(width, height), width, height, photo.width, photo.height);
    expect(photo.pixels.length).toBe(photo.width * photo.height * 3);
    expect(meanDifference(photo.pixels, expected)).toBeLessThan(0.5);
  });

  test('a picture of the right size comes back as it is', async () => {
    expect((await loadPhoto(await png(64, 64), 64)).pixels).toEqual(waves(64, 64));
  });

  test('the middle is taken of wide and of high ones; sizes and offset are SDXL’s', async () => {
    const wide = await loadPhoto(await png(300, 200), 100);
    const middle = await image(300, 200).extract({ left: 50, top: 0, width: 200, height: 200 }).png().toBuffer();
    expect(wide.pixels).toEqual((await loadPhoto(middle, 100)).pixels);
    expect(wide).toMatchObject({ originalSize: [200, 300], cropTopLeft: [0, 25], targetSize: [100, 100], width: 100 });
    const high = await loadPhoto(await png(200, 500), 512);
    expect(high).toMatchObject({ originalSize: [500, 200], cropTopLeft: [384, 0], targetSize: [512, 512] });
    const strip = await loadPhoto(await png(100, 100), { width: 64, height: 32 });
    expect(strip).toMatchObject({ cropTopLeft: [16, 0], targetSize: [32, 64], width: 64, height: 32 });
    expect((await loadPhoto(await png(128, 128), 64)).cropTopLeft).toEqual([0, 0]);
  });
});

describe('what photos come as', () => {
  const [red, green, blue, gray] = [
    [200, 30, 30],
    [30, 160, 40],
    [20, 40, 220],
    [90, 90, 90],
  ] as const;

  /** 64 × 32 in quarters of four colours, lossless. */
  const colours = (): Uint8Array => {
    const pixels = new Uint8Array(64 * 32 * 3);
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 64; x++) {
        pixels.set(y < 16 ? (x < 32 ? red : green) : x < 32 ? blue : gray, (y * 64 + x) * 3);
      }
    }
    return pixels;
  };

  test.each([
    [1, [red, green, blue, gray], [32, 64]],
    [2, [green, red, gray, blue], [32, 64]],
    [3, [gray, blue, green, red], [32, 64]],
    [4, [blue, gray, red, green], [32, 64]],
    [5, [red, blue, green, gray], [64, 32]],
    [6, [blue, red, gray, green], [64, 32]],
    [7, [gray, green, blue, red], [64, 32]],
    [8, [green, gray, red, blue], [64, 32]],
  ] as const)('EXIF orientation %i is turned upright before anything else', async (orientation, expected, size) => {
    const bytes = await image(64, 32, 3, colours()).withMetadata({ orientation }).png().toBuffer();
    const photo = await loadPhoto(bytes, { width: size[1], height: size[0] });
    expect(photo.originalSize).toEqual([...size]);
    expect(quarters(photo)).toEqual(expected.map((colour) => [...colour]));
    const square = await loadPhoto(bytes, 32);
    expect(square.cropTopLeft).toEqual(size[0] === 64 ? [16, 0] : [0, 16]);
    expect(quarters(square)).toEqual(expected.map((colour) => [...colour]));
  });

  test('gray, with and without alpha', async () => {
    const gray1 = await image(16, 16, 1, new Uint8Array(256).fill(77)).toColourspace('b-w').png().toBuffer();
    expect(new Set((await loadPhoto(gray1, 16)).pixels)).toEqual(new Set([77]));
    const half = Uint8Array.from({ length: 512 }, (_, i) => (i % 2 === 0 ? 77 : 0));
    const gray2 = await image(16, 16, 2, half).toColourspace('b-w').png().toBuffer();
    expect(new Set((await loadPhoto(gray2, 16)).pixels)).toEqual(new Set([255]));
  });

  test('transparent parts show white, half transparent ones half of it', async () => {
    const rgba = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => [100, 50, 0, i < 512 ? 0 : 128][i % 4]!);
    const { pixels } = await loadPhoto(await image(16, 16, 4, rgba).png().toBuffer(), 16);
    expect([...pixels.subarray(0, 3)]).toEqual([255, 255, 255]);
    const last = pixels.subarray(-3);
    [177, 152, 127].forEach((level, i) => {
      expect(Math.abs(last[i]! - level)).toBeLessThanOrEqual(1);
    });
  });

  test('16 bits a channel keep the upper eight', async () => {
    const deep = Uint16Array.from(waves(32, 32), (level) => level * 257);
    const bytes = await sharp(deep, { raw: { width: 32, height: 32, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    expect((await loadPhoto(bytes, 32)).pixels).toEqual(waves(32, 32));
  });

  test('CMYK becomes RGB', async () => {
    const bytes = await image(64, 32, 3, colours()).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    const found = quarters(await loadPhoto(bytes, { width: 64, height: 32 }));
    const order = found.map((colour) => colour.indexOf(Math.max(...colour)));
    expect(order.slice(0, 3)).toEqual([0, 1, 2]);
    expect(found[3]!.every((level) => Math.abs(level - 90) < 30)).toBe(true);
  });

  test.each(['jpeg', 'webp', 'avif', 'tiff', 'gif'] as const)('%s', async (format) => {
    const bytes = await image(64, 32, 3, colours()).toFormat(format).toBuffer();
    const found = quarters(await loadPhoto(bytes, { width: 64, height: 32 }));
    const expected = [red, green, blue, gray].flat();
    expect(meanDifference(found.flat(), expected)).toBeLessThan(6);
  });

  test('a path, a file: URL and bytes are the same', async () => {
    const path = join(folder, 'photo ü.png');
    writeFileSync(path, await png(40, 30));
    const photo = await loadPhoto(path, 16);
    expect(await loadPhoto(pathToFileURL(path), 16)).toEqual(photo);
    expect(await loadPhoto(new Uint8Array(readFileSync(path)), 16)).toEqual(photo);
  });
});

describe('what is no photo', () => {
  const refused = async (source: string | URL | Uint8Array, message: RegExp): Promise<void> => {
    await expect(loadPhoto(source, 16)).rejects.toBeInstanceOf(FileFormatError);
    await expect(loadPhoto(source, 16)).rejects.toThrow(message);
  };

  test('something else, nothing, and half a picture', async () => {
    await refused(Buffer.from('no picture at all'), /the picture: cannot be read as a picture.*HEIC/s);
    await refused(new Uint8Array(0), /cannot be read as a picture/);
    const jpeg = await image(64, 64).jpeg().toBuffer();
    await refused(jpeg.subarray(0, jpeg.length / 2), /cannot be read as a picture/);
  });

  test('one pixel wide or high', async () => {
    await refused(await png(1, 500), /expected at least 8×8 pixels, got 1×500/);
    await refused(await png(500, 1), /got 500×1/);
  });

  test('numbers of which nobody knows what white is', async () => {
    const floats = floatTiff(16);
    await expect(loadPhoto(floats, 16)).rejects.toThrow(
      /expected 8 or 16 bits a channel, got numbers of the type float/,
    );
  });

  test('a drawing', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="9" height="9"/></svg>';
    await refused(Buffer.from(svg), /vector drawing \(svg\).*Export it as PNG/s);
  });

  test('a missing file, a folder and a web address', async () => {
    await refused(join(folder, 'none.jpg'), /none\.jpg: cannot be read: there is no such file/);
    await refused(folder, /cannot be read: it is a folder/);
    await refused('https://example.org/dog.jpg', /cannot be read: .*\nGive the path of a file on this machine/);
    await refused(new URL('https://example.org/dog.jpg'), /expected a file: URL, got https:.*Download/s);
  });
});

describe('levels and signed values', () => {
  test('every level goes there and back', () => {
    const levels = Uint8Array.from({ length: 256 }, (_, level) => level);
    const signed = pixelsToSigned(levels);
    expect([signed[0], signed[255]]).toEqual([-1, 1]);
    expect(signed[51]).toBeCloseTo(-0.6, 6);
    expect(signedToPixels(signed)).toEqual(levels);
  });

  test('what is outside is clamped, what is between is rounded, what is no number is black', () => {
    const signed = Float32Array.of(-1.5, 1.5, Number.NEGATIVE_INFINITY, 0.0001, 0.0079, Number.NaN);
    expect([...signedToPixels(signed)]).toEqual([0, 255, 0, 128, 129, 0]);
  });
});
