import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../lib/io/tokenizer.js';
import { worldTokenizer } from '../../lib/pretrain/worldPictures.js';
import { vocabulary } from '../../lib/world/lexicon.js';

const folder = mkdtempSync(join(tmpdir(), 'tlora-tokenizer-'));
const made = worldTokenizer();
let tokenizer: Tokenizer;

beforeAll(() => {
  for (const [name, text] of Object.entries(made.files)) writeFileSync(join(folder, name), text);
  tokenizer = loadTokenizer(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The ids of a text between start and end token. */
function idsOf(text: string): number[] {
  const { ids, truncated } = tokenizer.encode(text);
  expect(truncated).toBeUndefined();
  return [...ids.subarray(1, ids.indexOf(tokenizer.endId))];
}

describe('the tokenizer of the mini model', () => {
  it('ends with the start and the end token, and pads with the end token', () => {
    expect(tokenizer.vocabularySize).toBe(made.vocabularySize);
    expect([tokenizer.startId, tokenizer.endId]).toEqual([made.vocabularySize - 2, made.vocabularySize - 1]);
    expect(tokenizer.padId).toBe(tokenizer.endId);
    expect(tokenizer.modelMaxLength).toBe(32);
  });

  it('makes one token of every word, and a different one of each', () => {
    const words = vocabulary.filter((word) => /^[a-z]+$/.test(word));
    expect(words.length).toBeGreaterThan(150);
    const ids = words.map((word) => idsOf(word));
    expect(words.filter((_, i) => ids[i]!.length !== 1)).toEqual([]);
    expect(new Set(ids.flat()).size).toBe(words.length);
  });

  it('spells what it does not know, and never loses a byte', () => {
    for (const text of ['zebra', 'v17', 'ünïcödé', '猫 🐈', 'a-b_c!']) {
      const ids = idsOf(text);
      expect(ids.length, text).toBeGreaterThan(0);
      expect(ids.every((id) => id < tokenizer.startId)).toBe(true);
    }
    expect(idsOf('v1')).not.toEqual(idsOf('v2'));
  });

  it('is the same every time', () => {
    expect(worldTokenizer()).toEqual(made);
  });
});
