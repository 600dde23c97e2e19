import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { END, readTokenizerFiles, START, type TokenizerFiles } from './tokenizerFiles.js';

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

/**
 * CLIP's byte-level BPE from a folder that `readTokenizerFiles` reads. Text is brought to NFC, each run of white space becomes one space, and
 * letters become lower case, code point by code point. Special and added tokens, the padding token included, are recognised inside the text,
 * those that say so after it was normalized. No ftfy: text is taken as it is.
 *
 * @throws FileFormatError when a file is missing or does not fit the others.
 */
export function loadTokenizer(folder: string): Tokenizer {
  const files = readTokenizerFiles(folder);
  const { vocabulary, special, added, modelMaxLength } = files;
  const idOf = (token: string): number => vocabulary[token]!;
  const padId = idOf(special.pad);
  const bpe = new HuggingFaceTokenizer(clipDefinition(files), {});
  const early = splitter([...Object.values(special), ...added.filter((token) => !token.normalized).map(contentOf)]);
  const late = new Map(added.filter((token) => token.normalized).map(({ content, id }) => [normalize(content), id]));
  const lateSplitter = late.size > 0 ? splitter([...late.keys()]) : null;

  const wordIds = (text: string): number[] => wordsOf(text).flatMap((word) => bpe.encode(word).ids);
  const textIds = (text: string): number[] =>
    lateSplitter ? pieces(text, lateSplitter, wordIds, (token) => late.get(token)!) : wordIds(text);

  function encode(text: string): Encoding {
    const tokens = pieces(text, early, (piece) => textIds(normalize(piece)), idOf);
    const kept = tokens.slice(0, modelMaxLength - 2);
    const ids = new Int32Array(modelMaxLength).fill(padId);
    ids.set([idOf(special.start), ...kept, idOf(special.end)]);
    const rest = tokens.slice(kept.length);
    return { ids, truncated: rest.length > 0 ? bpe.decode(rest).trim() : undefined };
  }
  const vocabularySize = Object.keys(vocabulary).length;
  return { modelMaxLength, startId: idOf(special.start), endId: idOf(special.end), padId, vocabularySize, encode };
}

const contentOf = ({ content }: { content: string }): string => content;

/** Finds tokens in a text, of two that begin alike the longer one. */
function splitter(tokens: readonly string[]): RegExp {
  const longestFirst = [...new Set(tokens)].sort((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map(escapeRegExp).join('|')})`, 'u');
}

/** Ids of a text in which `tokens` are found first. */
function pieces(
  text: string,
  tokens: RegExp,
  between: (piece: string) => number[],
  idOf: (token: string) => number,
): number[] {
  return text.split(tokens).flatMap((piece, i) => (i % 2 === 1 ? [idOf(piece)] : between(piece)));
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

/** What a tokenizer.json without added tokens would say: `encode` finds these, normalizes and splits. */
function clipDefinition({ vocabulary, merges, special }: TokenizerFiles): object {
  return {
    added_tokens: [],
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
