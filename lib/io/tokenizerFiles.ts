import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { openError } from './fileBytes.js';
import { readJsonObject } from './jsonFile.js';

export interface SpecialTokens {
  start: string;
  end: string;
  unknown: string;
  pad: string;
}

/** A token that was added to the vocabulary of CLIP, or is marked so in it. */
export interface AddedToken {
  content: string;
  id: number;
  /** Found in the normalized text; else in the text as it is. */
  normalized: boolean;
}

/** What a tokenizer's folder says. */
export interface TokenizerFiles {
  /** Ids by token, those of added tokens included; without a prototype. */
  vocabulary: Record<string, number>;
  merges: [string, string][];
  special: SpecialTokens;
  /** Added tokens but for the special ones. */
  added: AddedToken[];
  modelMaxLength: number;
}

export const START = '<|startoftext|>';
export const END = '<|endoftext|>';

/** Vocabulary, merges and added tokens, in whichever files they are. */
interface Stored {
  /** The file that holds the vocabulary. */
  path: string;
  vocabulary: Record<string, number>;
  merges: [string, string][];
  added: AddedToken[];
}

/**
 * Reads a CLIP tokenizer: vocab.json and merges.txt, with added_tokens.json if there is one, or what newer programs save instead of
 * these, tokenizer.json; with special_tokens_map.json and tokenizer_config.json, when present.
 *
 * @throws FileFormatError when a file is missing, does not fit the others or asks for what CLIP does not do.
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const { settings, config, modelMaxLength } = readSettings(folder);
  const single = join(folder, 'tokenizer.json');
  const isSingle = !existsSync(join(folder, 'vocab.json')) && existsSync(single);
  const { path, vocabulary, merges, added } = isSingle ? readSingleFile(single) : readTwoFiles(folder, config);
  const special = {
    start: tokenText(settings.bos_token) ?? START,
    end: tokenText(settings.eos_token) ?? END,
    unknown: tokenText(settings.unk_token) ?? END,
    pad: tokenText(settings.pad_token) ?? END,
  };
  for (const { content, id } of added) {
    const known = vocabulary[content];
    if (known !== undefined && known !== id) throw badFile(path, `${content}: expected the id ${known}, got ${id}`);
    vocabulary[content] = id;
  }
  const specials = Object.values(special);
  for (const token of specials) {
    if (vocabulary[token] === undefined) throw badFile(path, `expected the token ${token}, got none`);
  }
  return {
    vocabulary,
    merges,
    special,
    added: added.filter(({ content }) => !specials.includes(content)),
    modelMaxLength,
  };
}

function badFile(path: string, what: string): FileFormatError {
  return new FileFormatError(`${path}: ${what}`, {
    hint: 'Download the tokenizer folder of the model again.',
  });
}

function readTwoFiles(folder: string, config: Record<string, unknown>): Stored {
  const path = join(folder, 'vocab.json');
  const vocabulary = checkedVocabulary(path, readJsonObject(path));
  const merges = readMerges(join(folder, 'merges.txt'), vocabulary);
  const addedPath = join(folder, 'added_tokens.json');
  const plain = Object.entries(checkedVocabulary(addedPath, readIfPresent(addedPath)));
  const configPath = join(folder, 'tokenizer_config.json');
  const described = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, object>).map(([id, token]) =>
    addedToken(configPath, { ...token, id: Number(id) }),
  );
  const known = new Set(described.map(({ content }) => content));
  const others = plain.flatMap(([content, id]) => (known.has(content) ? [] : [{ content, id, normalized: true }]));
  return { path, vocabulary, merges, added: [...described, ...others] };
}

/** What a tokenizer.json of CLIP has; another one would split texts in another way. */
const CLIP_MODEL = { type: 'BPE', end_of_word_suffix: '</w>', unk_token: END };

function readSingleFile(path: string): Stored {
  const { model, normalizer, added_tokens: tokens } = readJsonObject(path) as Record<string, Record<string, unknown>>;
  for (const [name, wanted] of Object.entries(CLIP_MODEL)) {
    const got = model?.[name];
    if (got !== wanted) throw badFile(path, `model.${name}: expected ${wanted}, as CLIP has it, got ${text(got)}`);
  }
  const steps = ((normalizer?.normalizers ?? [normalizer]) as Record<string, unknown>[]).map((step) => step?.type);
  if (steps.join() !== 'NFC,Replace,Lowercase') {
    throw badFile(path, `normalizer: expected NFC, Replace, Lowercase, as CLIP has it, got ${text(steps)}`);
  }
  const vocabulary = checkedVocabulary(path, (model?.vocab ?? {}) as Record<string, unknown>);
  const merges = ((model?.merges ?? []) as unknown[]).map((merge) => checkedMerge(path, merge, vocabulary));
  const added = ((tokens ?? []) as unknown as object[]).map((token) => addedToken(path, token));
  return { path, vocabulary, merges, added };
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function addedToken(path: string, token: object): AddedToken {
  const { content, id, normalized = false, ...rest } = token as Record<string, unknown>;
  if (typeof content !== 'string' || content === '' || !isId(id) || typeof normalized !== 'boolean') {
    throw badFile(path, `added token: expected content and id, got ${text(token)}`);
  }
  for (const name of ['lstrip', 'rstrip', 'single_word']) {
    if (rest[name])
      throw badFile(path, `added token ${text(content)}: ${name}: expected false, got ${text(rest[name])}`);
  }
  return { content, id, normalized };
}

function isId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0;
}

function checkedVocabulary(path: string, vocabulary: Record<string, unknown>): Record<string, number> {
  for (const [token, id] of Object.entries(vocabulary)) {
    if (!isId(id)) throw badFile(path, `${text(token)}: expected an id from 0 up, got ${text(id)}`);
  }
  return Object.assign(Object.create(null), vocabulary);
}

/** One merge a line, best first, below an optional version line. */
function readMerges(path: string, vocabulary: Record<string, number>): [string, string][] {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw openError(path, error);
  }
  const lines = content.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines[0]?.startsWith('#version')) lines.shift();
  return lines.filter((line) => line !== '').map((line) => checkedMerge(path, line, vocabulary));
}

/** Two tokens in a list or with a space between them. */
function checkedMerge(path: string, merge: unknown, vocabulary: Record<string, number>): [string, string] {
  const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
  if (!left || !right || more.length > 0 || vocabulary[left + right] === undefined) {
    throw badFile(path, `expected two tokens whose union is in the vocabulary, got ${text(merge)?.slice(0, 60)}`);
  }
  return [left, right];
}

function readSettings(folder: string): {
  settings: Record<string, unknown>;
  config: Record<string, unknown>;
  modelMaxLength: number;
} {
  const config = readIfPresent(join(folder, 'tokenizer_config.json'));
  const settings = { ...config, ...readIfPresent(join(folder, 'special_tokens_map.json')) };
  const length = config.model_max_length ?? 77;
  if (!Number.isSafeInteger(length) || (length as number) < 2 || (length as number) > 65536) {
    throw badFile(join(folder, 'tokenizer_config.json'), `model_max_length: expected 77, got ${text(length)}`);
  }
  return { settings, config, modelMaxLength: length as number };
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
