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
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined;
  const reason = REASONS[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
  const isUrl = /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
  return new FileFormatError(`${path}: cannot be read: ${reason}`, {
    cause,
    hint: isUrl ? 'Give the path of a file on this machine.' : 'Check that the path is right and that you may read it.',
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'no permission',
  EPERM: 'no permission',
};
