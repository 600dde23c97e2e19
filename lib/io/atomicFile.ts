import { randomBytes } from 'node:crypto';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileWriteError } from '../errors.js';

/** Appends bytes to the file being written; resolves when the system has taken them all. */
export type AppendBytes = (bytes: Uint8Array) => Promise<void>;

/** The system takes at most 2^31 − 1 bytes in one write; smaller pieces let other work in between. */
const PIECE_BYTES = 64 * 1024 * 1024;

/** Writes `data` (text as UTF-8) to `path` so that a reader sees either the old file or the whole new one. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  await writeFileAtomicStream(path, (append) => append(bytes));
}

/**
 * As `writeFileAtomic`, with the content produced piece by piece by `produce`. The bytes go to a hidden temporary file
 * in the same folder, which is synced and then renamed to `path`; then the folder is synced. Whatever fails, the
 * temporary file is removed and an earlier file at `path` is untouched.
 *
 * @throws FileWriteError when the system refuses (full disk, no permission, no folder), naming `path`; what `produce`
 * throws passes through.
 */
export async function writeFileAtomicStream(
  path: string,
  produce: (append: AppendBytes) => Promise<void>,
): Promise<void> {
  await writeThenName(path, produce, (temporary) => refusalsNamed(path, rename(temporary, path)));
}

/**
 * Writes `data` to the first path of `pathOf(1)`, `pathOf(2)`, … at which nothing lies, all in one folder. Nobody sees a part of it, and two
 * that write at the same time get two paths.
 *
 * @returns the path
 * @throws FileWriteError
 */
export async function writeNewFileAtomic(pathOf: (i: number) => string, data: Uint8Array): Promise<string> {
  const name = async (temporary: string): Promise<string> => {
    for (let i = 1; ; i++) if (await nameNew(temporary, pathOf(i))) return pathOf(i);
  };
  return await writeThenName(pathOf(1), (append) => append(data), name);
}

/** Writes a temporary file beside `path`, which `name` then gives its name. */
async function writeThenName<T>(
  path: string,
  produce: (append: AppendBytes) => Promise<void>,
  name: (temporary: string) => Promise<T>,
): Promise<T> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`);
  const file = await refusalsNamed(path, open(temporary, 'wx'));
  let named: T;
  try {
    try {
      await produce((bytes) => refusalsNamed(path, writeAll(file, bytes)));
      await refusalsNamed(path, file.sync());
    } finally {
      await refusalsNamed(path, file.close());
    }
    named = await name(temporary);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
  return named;
}

/** Moves a file to a path unless something lies there; by a second name, as renaming would replace what lies there. */
async function nameNew(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    return await claimAndRename(temporary, path);
  }
  await rm(temporary, { force: true });
  return true;
}

/** For file systems without second names, such as FAT. Killed between the two, it leaves an empty file. */
async function claimAndRename(temporary: string, path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw writeRefusal(path, error);
  }
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(path, { force: true });
    throw writeRefusal(path, error);
  }
  return true;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(PIECE_BYTES, bytes.byteLength - at));
    at += bytesWritten;
  }
}

/**
 * Makes the rename itself durable. Some systems cannot open or sync a folder; there the rename is as durable as it
 * gets.
 */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(codeOf(error) ?? '')) throw error;
  }
}

const HINTS: Record<string, string> = {
  ENOSPC: 'The disk is full: free some space or choose another folder.',
  EDQUOT: 'The disk quota is used up: free some space or choose another folder.',
  EFBIG: 'The file is larger than this file system or user may write: choose another folder.',
  EACCES: 'No permission to write there: choose another folder or change its permissions.',
  EPERM: 'No permission to write there: choose another folder or change its permissions.',
  EROFS: 'That file system is read-only: choose another folder.',
  ENOENT: 'The folder does not exist: create it first.',
  EISDIR: 'A folder of that name is in the way: choose another name.',
};

async function refusalsNamed<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw writeRefusal(path, error);
  }
}

/** The error for a file that the system refuses to write; another error comes back as it is. */
export function writeRefusal(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  const hint = HINTS[code];
  const reason = error instanceof Error ? error.message : code;
  return new FileWriteError(`Cannot write ${path}: ${reason}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
