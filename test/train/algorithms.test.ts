import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import { NO_ALGORITHMS, readAlgorithms, writeAlgorithms } from '../../lib/train/algorithms.js';
import { runFolder } from '../../lib/train/runFolder.js';

describe('the algorithms of a run', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'tlora-algorithms-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('are read as they were written', async () => {
    const written = { encode: '{"a":1}', train: '{"b":2}', attentionBytes: 4096 };
    await writeAlgorithms(runFolder(dir), written);
    expect(readAlgorithms(runFolder(dir))).toEqual(written);
  });

  it('are none where there is no file', () => {
    expect(readAlgorithms(runFolder(dir))).toEqual(NO_ALGORITHMS);
  });

  it.each(['"much"', '-1', '0.5', 'true'])('are refused with %s as the memory for attention', (bytes) => {
    writeFileSync(runFolder(dir).algorithmsPath, `{"train":{},"attentionBytes":${bytes}}`);
    expect(() => readAlgorithms(runFolder(dir))).toThrow(FileFormatError);
    expect(() => readAlgorithms(runFolder(dir))).toThrow(`attentionBytes: expected a whole number, got ${bytes}`);
  });
});
