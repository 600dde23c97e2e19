import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { FileFormatError } from '../errors.js';
import { openError } from './fileBytes.js';
import { readJsonObject } from './jsonFile.js';

export interface Encoding {
  /** `modelMaxLength` ids: start token, text, end token, padding. */
  ids: Int32Array<ArrayBuffer>;
  /** The end of the text that did not fit, as its tokens spell it; undefined when all fitted. */
  truncated: string | undefined;
}

export interface Tokenizer {
  /** 77 for CLIP. */
  modelMaxLength: number;
  startId: number;
  endId: number;
  padId: number;
  /** Number of different ids. */
  vocabularySize: number;
  encode(text: string): Encoding;
}

interface SpecialTokens {
  start: string;
  end: string;
  unknown: string;
  pad: string;
}

const START = '<|startoftext|>';
const END = '<|endoftext|>';

/**
 * CLIP's byte-level BPE from a folder with vocab.json and merges.txt, and, when present, special_tokens_map.json and
 * tokenizer_config.json. Text is brought to NFC, each run of white space becomes one space, and letters become lower
 * case, code point by code point. Special tokens, the padding token included, are recognised inside the text. No ftfy:
 * text is taken as it is.
 *
 * @throws FileFormatError when a file is missing or does not fit the others.
 */
export function loadTokenizer(folder: string): Tokenizer {
  const vocabulary = readVocabulary(join(folder, 'vocab.json'));
  const merges = readMerges(join(folder, 'merges.txt'), vocabulary);
  const { special, modelMaxLength } = readSettings(folder);
  const idOf = (token: string): number => {
    const id = vocabulary[token];
    if (id === undefined) throw badFile(join(folder, 'vocab.json'), `expected the token ${token}, got none`);
    return id;
  };
  const startId = idOf(special.start);
  const endId = idOf(special.end);
  const padId = idOf(special.pad);
  idOf(special.unknown);
  const bpe = new HuggingFaceTokenizer(clipDefinition(vocabulary, merges, special), {});
  const splitter = new RegExp(`(${Object.values(special).map(escapeRegExp).join('|')})`, 'u');

  function encode(text: string): Encoding {
    const tokens = text
      .split(splitter)
      .flatMap((piece, i) =>
        i % 2 === 1 ? [idOf(piece)] : wordsOf(normalize(piece)).flatMap((word) => bpe.encode(word).ids),
      );
    const kept = tokens.slice(0, modelMaxLength - 2);
    const ids = new Int32Array(modelMaxLength).fill(padId);
    ids.set([startId, ...kept, endId]);
    const rest = tokens.slice(kept.length);
    return { ids, truncated: rest.length > 0 ? bpe.decode(rest).trim() : undefined };
  }
  return { modelMaxLength, startId, endId, padId, vocabularySize: Object.keys(vocabulary).length, encode };
}

/**
 * Lower case goes by code point, as the reference does it: a final capital sigma becomes σ, where `toLowerCase` of a
 * word gives ς.
 */
function normalize(text: string): string {
  const spaced = text.normalize('NFC').replace(/\p{White_Space}+/gu, ' ');
  return Array.from(spaced, (character) => character.toLowerCase()).join('');
}

/**
 * What BPE sees as one word. A special token in capitals is an ordinary text whose three parts are words, whatever
 * follows. Not `\s`: in JavaScript that includes the byte order mark, which is no white space to Unicode.
 */
const WORDS = /<\|(?:start|end)oftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

function wordsOf(text: string): string[] {
  const words = text.match(WORDS) ?? [];
  return words.flatMap((word) => (word === START || word === END ? ['<|', word.slice(2, -2), '|>'] : [word]));
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** What tokenizer.json would say, had the folder one. */
function clipDefinition(
  vocabulary: Record<string, number>,
  merges: [string, string][],
  special: SpecialTokens,
): object {
  return {
    added_tokens: [], // found before the text is normalized, by `encode`
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: vocabulary,
      merges,
      unk_token: special.unknown,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
    },
  };
}

function badFile(path: string, what: string): FileFormatError {
  return new FileFormatError(`${path}: ${what}`, {
    hint: 'Download the tokenizer folder of the model again.',
  });
}

function readVocabulary(path: string): Record<string, number> {
  const vocabulary = readJsonObject(path);
  for (const [token, id] of Object.entries(vocabulary)) {
    if (!Number.isSafeInteger(id) || (id as number) < 0) {
      throw badFile(path, `${JSON.stringify(token)}: expected an id from 0 up, got ${JSON.stringify(id)}`);
    }
  }
  return Object.assign(Object.create(null), vocabulary);
}

/** One merge a line, best first, below an optional version line. */
function readMerges(path: string, vocabulary: Record<string, number>): [string, string][] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw openError(path, error);
  }
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines[0]?.startsWith('#version')) lines.shift();
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const [left, right, ...more] = line.split(' ');
      if (!left || !right || more.length > 0 || vocabulary[left + right] === undefined) {
        throw badFile(
          path,
          `expected two tokens whose union is in vocab.json, got ${JSON.stringify(line.slice(0, 60))}`,
        );
      }
      return [left, right];
    });
}

function readSettings(folder: string): { special: SpecialTokens; modelMaxLength: number } {
  const config = readIfPresent(join(folder, 'tokenizer_config.json'));
  const settings = { ...config, ...readIfPresent(join(folder, 'special_tokens_map.json')) };
  const special = {
    start: tokenText(settings.bos_token) ?? START,
    end: tokenText(settings.eos_token) ?? END,
    unknown: tokenText(settings.unk_token) ?? END,
    pad: tokenText(settings.pad_token) ?? END,
  };
  const length = config.model_max_length ?? 77;
  if (!Number.isSafeInteger(length) || (length as number) < 2 || (length as number) > 65536) {
    throw badFile(
      join(folder, 'tokenizer_config.json'),
      `model_max_length: expected 77, got ${JSON.stringify(length)}`,
    );
  }
  return { special, modelMaxLength: length as number };
}

function readIfPresent(path: string): Record<string, unknown> {
  try {
    return readJsonObject(path);
  } catch (error) {
    if (error instanceof FileFormatError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return {};
    throw error;
  }
}

/** A token is stored as its text or as `{ content: text, … }`. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  const content = typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : undefined;
  return typeof content === 'string' ? content : undefined;
}
