import { readFile } from 'node:fs/promises';
import { crc32, inflateSync } from 'node:zlib';
import { FileFormatError } from '../errors.js';
import { writeFileAtomic } from './atomicFile.js';
import { openError } from './fileBytes.js';
import { loadSharp } from './loadSharp.js';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
/** Of the IHDR chunk, which comes first: length, type, 13 bytes, checksum. */
const HEADER_CHUNK_BYTES = 25;
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** Writes what `encodePng` gives as a file, atomically. @throws FileWriteError when the system refuses. */
export async function writePng(
  path: string,
  pixels: Uint8Array,
  width: number,
  height: number,
  text: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, await encodePng(pixels, width, height, text));
}

/**
 * [height, width, 3] RGB pixels as the bytes of a PNG file, with `text` as its key–value text: tEXt chunks for plain ASCII values, iTXt (UTF-8)
 * for others. Keys have 1 to 79 Latin-1 characters.
 */
export async function encodePng(
  pixels: Uint8Array,
  width: number,
  height: number,
  text: Readonly<Record<string, string>>,
): Promise<Uint8Array> {
  if (pixels.length !== width * height * 3) {
    throw new FileFormatError(`[encodePng] pixels: expected ${height}×${width}×3 values, got ${pixels.length}`);
  }
  const sharp = await loadSharp();
  const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  const at = SIGNATURE.length + HEADER_CHUNK_BYTES;
  const chunks = Object.entries(text).map(([key, value]) => textChunk(key, value));
  return Buffer.concat([png.subarray(0, at), ...chunks, png.subarray(at)]);
}

/** The key–value text of a PNG file: its tEXt, zTXt and iTXt chunks. */
export async function readPngText(path: string): Promise<Record<string, string>> {
  let png: Buffer;
  try {
    png = await readFile(path);
  } catch (error) {
    throw openError(path, error);
  }
  if (!png.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw damaged(path, 'expected a PNG file, got something else');
  const entries: [string, string][] = [];
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = at + 12 <= png.length ? png.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    const end = at + 12 + length;
    if (end > png.length) throw damaged(path, `truncated in the chunk at byte ${at}`);
    const type = png.toString('latin1', at + 4, at + 8);
    if (['tEXt', 'zTXt', 'iTXt'].includes(type)) {
      if (crc32(png.subarray(at + 4, end - 4)) !== png.readUInt32BE(end - 4))
        throw damaged(path, `wrong checksum at byte ${at}`);
      entries.push(decodeText(path, type, png.subarray(at + 8, end - 4)));
    }
    at = type === 'IEND' ? png.length : end;
  }
  return Object.fromEntries(entries);
}

function damaged(path: string, what: string): FileFormatError {
  return new FileFormatError(`${path}: ${what}`, { hint: 'The picture is damaged, or not a PNG file.' });
}

function textChunk(key: string, value: string): Buffer {
  if (!/^[\x20-\x7e\xa1-\xff]{1,79}$/.test(key)) {
    throw new FileFormatError(`[encodePng] text key: expected 1 to 79 Latin-1 characters, got ${JSON.stringify(key)}`);
  }
  const isPlain = /^[\n\x20-\x7e]*$/.test(value);
  const [type, body] = isPlain
    ? ['tEXt', Buffer.from(`${key}\0${value}`, 'latin1')]
    : ['iTXt', Buffer.concat([Buffer.from(`${key}\0\0\0\0\0`, 'latin1'), Buffer.from(value, 'utf8')])];
  const chunk = Buffer.alloc(12 + body.length);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(type, 4, 'latin1');
  body.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + body.length)), 8 + body.length);
  return chunk;
}

/**
 * tEXt: key 0 Latin-1. zTXt: key 0 method deflated Latin-1. iTXt: key 0 isDeflated method language 0 translated key 0
 * UTF-8.
 */
function decodeText(path: string, type: string, body: Buffer): [key: string, value: string] {
  const keyEnd = body.indexOf(0);
  if (keyEnd < 1) throw damaged(path, `a ${type} chunk without a key`);
  const key = body.toString('latin1', 0, keyEnd);
  if (type === 'tEXt') return [key, body.toString('latin1', keyEnd + 1)];
  if (type === 'zTXt') return [key, inflate(path, body.subarray(keyEnd + 2)).toString('latin1')];
  const languageEnd = body.indexOf(0, keyEnd + 3);
  const translatedEnd = body.indexOf(0, languageEnd + 1);
  if (languageEnd < 0 || translatedEnd < 0) throw damaged(path, 'an iTXt chunk without its parts');
  const value = body.subarray(translatedEnd + 1);
  return [key, (body[keyEnd + 1] === 1 ? inflate(path, value) : value).toString('utf8')];
}

function inflate(path: string, bytes: Buffer): Buffer {
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_TEXT_BYTES });
  } catch {
    throw damaged(path, 'a compressed text that cannot be expanded');
  }
}
