import { readSync } from 'node:fs';
import { FileFormatError } from '../errors.js';

/** One read takes at most 2^31 − 1 bytes. */
const PIECE_BYTES = 1024 * 1024 * 1024;

/** Exactly `bytes` bytes of an open file from `offset`, in memory of their own; a shorter file is a FileFormatError. */
export function readFully(file: number, path: string, offset: number, bytes: number): Buffer<ArrayBuffer> {
  const out = Buffer.from(new ArrayBuffer(bytes));
  for (let done = 0; done < bytes; ) {
    const got = readSync(file, out, done, Math.min(PIECE_BYTES, bytes - done), offset + done);
    if (got === 0) {
      throw new FileFormatError(`${path}: truncated: expected ${bytes} bytes at ${offset}, got ${done}`, {
        hint: 'The file is incomplete or was changed while in use: download or save it again.',
      });
    }
    done += got;
  }
  return out;
}

/** What to throw when `path` could not be opened or read at all. */
export function openError(path: string, cause: unknown): FileFormatError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FileFormatError(`${path}: cannot be read: ${reason}`, {
    cause,
    hint: 'Check that the path is right and that you may read it.',
  });
}
