import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

const fixtures = new URL('../fixtures/tokenizer/', import.meta.url);

/** The bytes as byte-level BPE prints them, in the order of CLIP's vocabulary. */
function byteTokens(): string[] {
  const isShown = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const hidden = bytes.filter((byte) => !isShown(byte)).map((_, i) => 256 + i);
  return [...bytes.filter(isShown), ...hidden].map((code) => String.fromCharCode(code));
}

/** Writes CLIP's own tokenizer as a folder; its vocabulary follows from its merges. */
export function writeClipFolder(folder: string, padToken: string): void {
  const merges = brotliDecompressSync(readFileSync(new URL('merges.txt.br', fixtures))).toString('utf8');
  const merged = merges
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.replace(' ', ''));
  const bytes = byteTokens();
  const tokens = [...bytes, ...bytes.map((token) => `${token}</w>`), ...merged, '<|startoftext|>', '<|endoftext|>'];
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const special = { bos_token: '<|startoftext|>', eos_token: '<|endoftext|>', unk_token: '<|endoftext|>' };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'vocab.json'), JSON.stringify(vocabulary));
  writeFileSync(join(folder, 'merges.txt'), merges);
  writeFileSync(join(folder, 'special_tokens_map.json'), JSON.stringify({ ...special, pad_token: padToken }));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ model_max_length: 77, ...special }));
}

export interface PromptCase {
  prompt: string;
  /** The reference's ids of the two SDXL tokenizers, without the padding. */
  ids: number[];
  ids2: number[];
}

export function promptCases(): PromptCase[] {
  return JSON.parse(readFileSync(new URL('prompts.json', fixtures), 'utf8')) as PromptCase[];
}
