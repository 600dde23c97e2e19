import fs, { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FileWriteError } from '../../lib/errors.js';
import { expectWritable, makeFolder } from '../../lib/io/outputFolder.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-output-'));
  mkdirSync(join(dir, 'theirs'));
});
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  rmSync(dir, { recursive: true });
});

/** As if `theirs` could not be written to: the user who runs the tests may be one who may write everywhere. */
function forbid(): void {
  vi.spyOn(fs, 'accessSync').mockImplementation((path) => {
    if (path === join(dir, 'theirs')) throw Object.assign(new Error(`EACCES: ${path}`), { code: 'EACCES' });
  });
  syncBuiltinESMExports();
}

test('a folder that is there and cannot be written to is refused before the work', () => {
  forbid();
  for (const work of [makeFolder, expectWritable])
    for (const name of ['theirs', 'mine']) {
      const wish = (): void => work(join(dir, name));
      if (name === 'mine') wish();
      else expect(wish).toThrow(FileWriteError);
    }
  expect(() => expectWritable(join(dir, 'theirs', 'a', 'b'))).toThrow(/Cannot write .*b: EACCES.*\n.*another --out/);
});

test('what is only looked at is not made', () => {
  expectWritable(join(dir, 'new', 'folder'));
  expect(existsSync(join(dir, 'new'))).toBe(false);
  makeFolder(join(dir, 'new', 'folder'));
  expect(existsSync(join(dir, 'new', 'folder'))).toBe(true);
});
