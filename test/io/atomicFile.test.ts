import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FileWriteError } from '../../lib/errors.js';
import { writeFileAtomic, writeFileAtomicStream } from '../../lib/io/atomicFile.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tlora-atomic-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

/** Makes one method of every open file fail as the system would. */
async function refuse(method: 'write' | 'sync', code: string): Promise<void> {
  const probe = await open(join(folder, 'probe'), 'w');
  const prototype = Object.getPrototypeOf(probe) as typeof probe;
  await probe.close();
  await rm(join(folder, 'probe'));
  vi.spyOn(prototype, method).mockRejectedValue(Object.assign(new Error(`${code}: refused, ${method}`), { code }));
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
