import fs, { type FileHandle, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FileWriteError } from '../../lib/errors.js';
import { writeFileAtomic, writeFileAtomicStream, writeNewFileAtomic } from '../../lib/io/atomicFile.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tlora-atomic-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  await rm(folder, { recursive: true });
});

/** What all open files have. */
async function filePrototype(): Promise<FileHandle> {
  const probe = await open(join(folder, 'probe'), 'w');
  await probe.close();
  await rm(join(folder, 'probe'));
  return Object.getPrototypeOf(probe) as FileHandle;
}

/** Makes one method of every open file fail as the system would. */
async function refuse(method: 'write' | 'sync', code: string): Promise<void> {
  const refusal = Object.assign(new Error(`${code}: refused, ${method}`), { code });
  vi.spyOn(await filePrototype(), method).mockRejectedValue(refusal);
}

test('text and bytes arrive, replace what was there and leave nothing else', async () => {
  const path = join(folder, 'a.txt');
  await writeFileAtomic(path, 'früher');
  expect(await readFile(path, 'utf8')).toBe('früher');
  await writeFileAtomic(path, Uint8Array.of(1, 2, 3).subarray(1));
  expect([...(await readFile(path))]).toEqual([2, 3]);
  expect(await readdir(folder)).toEqual(['a.txt']);
});

test('the old file stays readable until the new one is whole', async () => {
  const path = join(folder, 'a.txt');
  await writeFile(path, 'old');
  await writeFileAtomicStream(path, async (append) => {
    await append(Buffer.from('ne'));
    expect(await readFile(path, 'utf8')).toBe('old');
    await append(Buffer.from('w'));
  });
  expect(await readFile(path, 'utf8')).toBe('new');
});

test('a producer that fails leaves the old file and no temporary one, and its own error', async () => {
  const path = join(folder, 'a.txt');
  await writeFile(path, 'old');
  const failure = new Error('the producer is out of ideas');
  const writing = writeFileAtomicStream(path, async (append) => {
    await append(Buffer.from('half'));
    throw failure;
  });
  await expect(writing).rejects.toBe(failure);
  expect(await readFile(path, 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['a.txt']);
});

test.each(['write', 'sync'] as const)('a full disk at %s names the path and leaves the old file', async (method) => {
  const path = join(folder, 'a.txt');
  await writeFile(path, 'old');
  await refuse(method, 'ENOSPC');
  const error = await writeFileAtomic(path, 'new').catch((reason: unknown) => reason);
  vi.restoreAllMocks();
  expect(error).toBeInstanceOf(FileWriteError);
  expect(error).toMatchObject({ code: 'ERR_TLORA_FILE_WRITE', message: expect.stringContaining(path) });
  expect((error as FileWriteError).hint).toContain('disk is full');
  expect(await readFile(path, 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['a.txt']);
});

test('a missing folder and a folder in the way are refused by name', async () => {
  await expect(writeFileAtomic(join(folder, 'none', 'a.txt'), '')).rejects.toThrow(/none[/\\]a\.txt.*create it first/s);
  await mkdir(join(folder, 'b'));
  await expect(writeFileAtomic(join(folder, 'b'), '')).rejects.toBeInstanceOf(FileWriteError);
  expect(await readdir(folder)).toEqual(['b']);
});

describe('a new file', () => {
  const pathOf = (i: number): string => join(folder, `${i}.txt`);

  /** Eight files at once beside one that is there. */
  async function writeEight(): Promise<void> {
    await writeFile(pathOf(1), 'old');
    const texts = Array.from({ length: 8 }, (_, i) => `text ${i}`);
    const paths = await Promise.all(texts.map((text) => writeNewFileAtomic(pathOf, Buffer.from(text))));
    expect(await readFile(pathOf(1), 'utf8')).toBe('old');
    expect([...paths].sort()).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map(pathOf));
    expect(await Promise.all(paths.map((path) => readFile(path, 'utf8')))).toEqual(texts);
    expect((await readdir(folder)).length).toBe(9);
  }

  test('never replaces another, whoever else is writing', writeEight);

  test('neither does where files cannot have two names', async () => {
    const refusal = Object.assign(new Error('EPERM: no links here'), { code: 'EPERM' });
    const link = vi.spyOn(fs, 'link').mockRejectedValue(refusal);
    syncBuiltinESMExports();
    await writeEight();
    expect(link).toHaveBeenCalled();
  });

  test('has no name before it is whole, so that a process that is killed leaves none', async () => {
    const seen: string[][] = [];
    vi.spyOn(await filePrototype(), 'sync').mockImplementation(async () => {
      seen.push(await readdir(folder));
    });
    await writeNewFileAtomic(pathOf, Buffer.from('new'));
    expect(seen[0]).toEqual([expect.stringMatching(/^\.1\.txt\.\d+\.[0-9a-f]+\.tmp$/)]);
    expect(await readdir(folder)).toEqual(['1.txt']);
  });
});
