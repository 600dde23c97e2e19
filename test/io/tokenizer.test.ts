import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import { loadTokenizer, type Tokenizer } from '../../lib/io/tokenizer.js';
import { promptCases, writeClipFolder } from './clipFolder.js';

let folder: string;
let clip: Tokenizer;
let clip2: Tokenizer;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-tokenizer-'));
  writeClipFolder(join(folder, 'tokenizer'), '<|endoftext|>');
  writeClipFolder(join(folder, 'tokenizer_2'), '!');
  clip = loadTokenizer(join(folder, 'tokenizer'));
  clip2 = loadTokenizer(join(folder, 'tokenizer_2'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const padded = (ids: number[], pad: number): number[] => [...ids, ...Array<number>(77 - ids.length).fill(pad)];

describe('with the vocabulary of CLIP', () => {
  test.each(promptCases())('gives the ids of the reference: $prompt', ({ prompt, ids, ids2 }) => {
    expect([...clip.encode(prompt).ids]).toEqual(padded(ids, 49407));
    expect([...clip2.encode(prompt).ids]).toEqual(padded(ids2, 0));
  });

  test('says what was cut off, and only then', () => {
    expect(clip.encode(`${'a '.repeat(74)}dog`).truncated).toBeUndefined();
    expect(clip.encode(`${'a '.repeat(75)}Dog, running!`).truncated).toBe('dog, running!');
    const { ids } = clip.encode(`${'a '.repeat(75)}dog`);
    expect([...ids]).toEqual([49406, ...Array<number>(75).fill(320), 49407]);
  });

  test('knows its own ids', () => {
    expect(clip).toMatchObject({
      modelMaxLength: 77,
      startId: 49406,
      endId: 49407,
      padId: 49407,
      vocabularySize: 49408,
    });
    expect(clip2.padId).toBe(0);
  });

  test('any text gives 77 ids of the vocabulary, framed, whatever its case and spacing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const { ids } = clip.encode(text);
        expect(ids.length).toBe(77);
        expect(ids[0]).toBe(49406);
        expect(ids.includes(49407)).toBe(true);
        expect(ids.every((id) => id >= 0 && id < 49408)).toBe(true);
        expect(clip.encode(`\n ${text.replaceAll(' ', '\t  ')}  `).ids).toEqual(ids);
      }),
      { numRuns: 30 },
    );
  });
});

/** The folder as transformers 5 saves it: everything in tokenizer.json. */
function writeSingleFile(from: string, to: string, change: (file: SingleFile) => void = () => {}): string {
  const read = (name: string): string => readFileSync(join(from, name), 'utf8');
  const flags = { single_word: false, lstrip: false, rstrip: false };
  const special = (content: string, id: number): Added => ({ id, content, ...flags, normalized: false, special: true });
  const file: SingleFile = {
    added_tokens: [special('!', 0), special('<|startoftext|>', 49406), special('<|endoftext|>', 49407)],
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: {}, content: ' ' }, { type: 'Lowercase' }],
    },
    model: {
      type: 'BPE',
      unk_token: '<|endoftext|>',
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      vocab: JSON.parse(read('vocab.json')),
      merges: read('merges.txt')
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#version'))
        .map((line) => line.split(' ')),
    },
  };
  file.added_tokens.push({ ...special('<sks>', 49408), normalized: true, special: false });
  change(file);
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, 'tokenizer.json'), JSON.stringify(file));
  writeFileSync(join(to, 'tokenizer_config.json'), '{"pad_token": "!", "model_max_length": 77}');
  return to;
}

interface Added {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

interface SingleFile {
  added_tokens: Added[];
  normalizer: { type: string; normalizers: { type: string; [field: string]: unknown }[] };
  model: Record<string, unknown>;
}

describe('a folder with tokenizer.json alone', () => {
  const at = (name: string): string => join(folder, name);

  test.each(promptCases())('gives the ids of the reference: $prompt', ({ prompt, ids2 }) => {
    single ??= loadTokenizer(writeSingleFile(at('tokenizer_2'), at('single')));
    expect([...single.encode(prompt).ids]).toEqual(padded(ids2, 0));
  });
  let single: Tokenizer | undefined;

  // Ids of transformers 5.18.
  test('knows added tokens, wherever they are stored', () => {
    const ids = padded([49406, 320, 1125, 539, 49408, 1929, 49407], 0);
    const whole = loadTokenizer(writeSingleFile(at('tokenizer_2'), at('added')));
    for (const prompt of ['a photo of <sks> dog', 'a photo of<SKS>dog'])
      expect([...whole.encode(prompt).ids]).toEqual(ids);
    expect(whole.encode(`${'a '.repeat(75)}<sks> dog`).truncated).toBe('<sks>dog');
    writeClipFolder(at('plain'), '!');
    writeFileSync(join(at('plain'), 'added_tokens.json'), '{"<sks>": 49408}');
    expect([...loadTokenizer(at('plain')).encode('a photo of <sks> dog').ids]).toEqual(ids);
    writeClipFolder(at('described'), '!');
    const token = { content: '<sks>', lstrip: false, normalized: false, rstrip: false, single_word: false };
    const settings = { pad_token: '!', added_tokens_decoder: { 49408: token } };
    writeFileSync(join(at('described'), 'tokenizer_config.json'), JSON.stringify(settings));
    const raw = loadTokenizer(at('described'));
    expect([...raw.encode('a photo of <sks> dog').ids]).toEqual(ids);
    expect([...raw.encode('a photo of <SKS> dog').ids]).not.toContain(49408);
  });

  test.each<[string, (file: SingleFile) => void, RegExp]>([
    [
      'another model',
      (file) => {
        file.model.type = 'Unigram';
      },
      /tokenizer\.json: model\.type: expected BPE.*got "Unigram"/,
    ],
    [
      'another normalizer',
      (file) => {
        file.normalizer.normalizers.pop();
      },
      /normalizer: expected NFC, Replace, Lowercase/,
    ],
    [
      'no vocabulary',
      (file) => {
        delete file.model.vocab;
      },
      /tokenizer\.json: /,
    ],
    [
      'a token that strips',
      (file) => {
        file.added_tokens[3]!.lstrip = true;
      },
      /"<sks>": lstrip: expected false, got true/,
    ],
    [
      'a token of two ids',
      (file) => {
        file.added_tokens[0]!.id = 5;
      },
      /!: expected the id 0, got 5/,
    ],
  ])('%s is an error', (name, change, message) => {
    const made = writeSingleFile(at('tokenizer_2'), at(name.replaceAll(' ', '-')), change);
    expect(() => loadTokenizer(made)).toThrow(FileFormatError);
    expect(() => loadTokenizer(made)).toThrow(message);
  });
});

describe('a made-up folder', () => {
  const small = {
    a: 0,
    'a</w>': 1,
    b: 2,
    'b</w>': 3,
    'ab</w>': 4,
    '<|startoftext|>': 5,
    '<|endoftext|>': 6,
    '[pad]': 7,
  };
  const write = (files: Record<string, string>): string => {
    const made = mkdtempSync(join(folder, 'small-'));
    const all = { 'vocab.json': JSON.stringify(small), 'merges.txt': 'a b</w>\n', ...files };
    for (const [name, text] of Object.entries(all)) writeFileSync(join(made, name), text);
    return made;
  };

  test('needs no settings: CLIP’s are taken; carriage returns and a missing version line do no harm', () => {
    const { encode } = loadTokenizer(write({ 'merges.txt': 'a b</w>\r\n' }));
    expect([...encode('ab AA').ids.subarray(0, 6)]).toEqual([5, 4, 0, 1, 6, 6]);
    expect(encode('').ids.length).toBe(77);
  });

  test('its settings count: length, and tokens as text or as objects', () => {
    const settings = JSON.stringify({ model_max_length: 5, pad_token: { content: '[pad]', lstrip: false } });
    const tokenizer = loadTokenizer(write({ 'tokenizer_config.json': settings }));
    expect([...tokenizer.encode('ab').ids]).toEqual([5, 4, 6, 7, 7]);
    expect([...tokenizer.encode('a[pad]b').ids]).toEqual([5, 1, 7, 3, 6]);
    expect(tokenizer.encode('a b a b')).toEqual({ ids: Int32Array.of(5, 1, 3, 1, 6), truncated: 'b' });
  });

  test('a character outside the vocabulary becomes the unknown token', () => {
    expect([...loadTokenizer(write({})).encode('aca').ids.subarray(0, 5)]).toEqual([5, 0, 6, 1, 6]);
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['vocabulary cut short', { 'vocab.json': '{"a": 0' }, /vocab\.json: expected a JSON object/],
    ['an id that is none', { 'vocab.json': '{"a": "x"}' }, /vocab\.json: "a": expected an id/],
    [
      'no start token',
      { 'vocab.json': '{"a": 0}', 'merges.txt': '' },
      /vocab\.json: expected the token <\|startoftext\|>/,
    ],
    ['a merge of three', { 'merges.txt': 'a b a' }, /merges\.txt: expected two tokens.*got "a b a"/],
    ['a merge outside the vocabulary', { 'merges.txt': 'b a' }, /merges\.txt: expected two tokens whose union/],
    [
      'a senseless length',
      { 'tokenizer_config.json': '{"model_max_length": 1e30}' },
      /model_max_length: expected 77, got 1e\+30/,
    ],
    ['an unknown padding token', { 'special_tokens_map.json': '{"pad_token": "<pad>"}' }, /expected the token <pad>/],
    [
      'settings that are no JSON',
      { 'special_tokens_map.json': 'x' },
      /special_tokens_map\.json: expected a JSON object/,
    ],
  ])('%s is an error', (_, files, message) => {
    const made = write(files);
    expect(() => loadTokenizer(made)).toThrow(FileFormatError);
    expect(() => loadTokenizer(made)).toThrow(message);
  });

  test('a missing file is named', () => {
    const made = write({});
    rmSync(join(made, 'merges.txt'));
    expect(() => loadTokenizer(made)).toThrow(/merges\.txt: cannot be read/);
    expect(() => loadTokenizer(join(folder, 'none'))).toThrow(/vocab\.json: cannot be read/);
  });
});
