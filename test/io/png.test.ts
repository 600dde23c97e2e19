import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileFormatError, FileWriteError } from '../../lib/errors.js';
import { readPngText, writePng } from '../../lib/io/image.js';

let folder: string;
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-png-'));
  path = join(folder, 'a.png');
});
afterAll(() => rmSync(folder, { recursive: true }));

const pixels = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => i * 4);

test('pixels come back as written, with and without text, and nothing else is left behind', async () => {
  for (const text of [undefined, { prompt: 'a dog' }]) {
    await writePng(path, pixels, 5, 4, text);
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 5, height: 4, channels: 3 });
    expect(new Uint8Array(data)).toEqual(pixels);
    expect(await readPngText(path)).toEqual(text ?? {});
  }
  expect(readdirSync(folder)).toEqual(['a.png']);
});

test('any text comes back', async () => {
  const key = fc.string({ unit: fc.constantFrom(...'abz AZ09_-é'), minLength: 1, maxLength: 79 });
  await fc.assert(
    fc.asyncProperty(fc.dictionary(key, fc.string({ unit: 'grapheme' }), { maxKeys: 4 }), async (text) => {
      await writePng(path, pixels, 5, 4, text);
      expect(Object.entries(await readPngText(path)).sort()).toEqual(Object.entries(text).sort());
    }),
    { numRuns: 25 },
  );
});

test('another reader finds the text: ASCII in tEXt, the rest in iTXt', async () => {
  await writePng(path, pixels, 5, 4, { prompt: 'a "dog"\n42', other: 'naïve 犬 🐶' });
  const { comments } = await sharp(path).metadata();
  expect(comments).toEqual([
    { keyword: 'prompt', text: 'a "dog"\n42' },
    { keyword: 'other', text: 'naïve 犬 🐶' },
  ]);
});

function chunk(type: string, body: Buffer): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length);
  out.write(type, 4, 'latin1');
  body.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

/** The picture with chunks of other programs after its header. */
async function withChunks(...chunks: Buffer[]): Promise<void> {
  await writePng(path, pixels, 5, 4);
  const png = readFileSync(path);
  writeFileSync(path, Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]));
}

test('compressed text of other programs is read', async () => {
  const zipped = (text: string): Buffer => deflateSync(Buffer.from(text, 'latin1'));
  await withChunks(
    chunk('zTXt', Buffer.concat([Buffer.from('a\0\0'), zipped('café')])),
    chunk('iTXt', Buffer.concat([Buffer.from('b\0\x01\0de\0Name\0'), deflateSync(Buffer.from('犬'))])),
    chunk('tEXt', Buffer.from('c\0')),
  );
  expect(await readPngText(path)).toEqual({ a: 'café', b: '犬', c: '' });
});

test.each<[string, Buffer, RegExp]>([
  ['no key', chunk('tEXt', Buffer.from('value')), /tEXt chunk without a key/],
  ['half an iTXt', chunk('iTXt', Buffer.from('a\0\0\0de')), /iTXt chunk without its parts/],
  ['broken compression', chunk('zTXt', Buffer.from('a\0\0xyz')), /compressed text that cannot be expanded/],
  [
    'a wrong checksum',
    Buffer.concat([chunk('tEXt', Buffer.from('a\0b')).subarray(0, -1), Buffer.of(1)]),
    /wrong checksum/,
  ],
])('%s is an error', async (_, bad, message) => {
  await withChunks(bad);
  await expect(readPngText(path)).rejects.toThrow(FileFormatError);
  await expect(readPngText(path)).rejects.toThrow(message);
});

test('what is no PNG, or only its beginning, is an error', async () => {
  await writePng(path, pixels, 5, 4);
  writeFileSync(path, readFileSync(path).subarray(0, 40));
  await expect(readPngText(path)).rejects.toThrow(/a\.png: truncated in the chunk at byte 33/);
  writeFileSync(path, 'text');
  await expect(readPngText(path)).rejects.toThrow(/expected a PNG file/);
  await expect(readPngText(join(folder, 'none.png'))).rejects.toThrow(/none\.png: cannot be read/);
});

test('wrong sizes, keys and folders are refused', async () => {
  await expect(writePng(path, pixels, 5, 5)).rejects.toThrow(/expected 5×5×3 values, got 60/);
  await expect(writePng(path, pixels, 5, 4, { '': 'x' })).rejects.toThrow(/text key: expected 1 to 79/);
  await expect(writePng(path, pixels, 5, 4, { 犬: 'x' })).rejects.toThrow(/text key/);
  await expect(writePng(join(folder, 'none', 'a.png'), pixels, 5, 4)).rejects.toThrow(FileWriteError);
});
