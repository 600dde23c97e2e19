// A CLIP tokenizer for a small vocabulary of whole words; every other text falls back to bytes.

const START = '<|startoftext|>';
const END = '<|endoftext|>';
const WORD_END = '</w>';

/** The visible characters that byte-level BPE (GPT-2's) writes for the 256 bytes, in CLIP's order: printable ones first. */
function byteCharacters(): string[] {
  const span = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const printable = [...span(33, 126), ...span(161, 172), ...span(174, 255)];
  const others = span(0, 255).filter((byte) => !printable.includes(byte));
  return [...printable, ...others.map((_, i) => 256 + i)].map((code) => String.fromCodePoint(code));
}

function pairsOf(words: readonly (readonly string[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const symbols of words) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
  }
  return counts;
}

/** Joins a pair wherever it stands, from the left. */
function join(symbols: readonly string[], left: string, right: string): string[] {
  const joined: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const here = symbols[i] === left && symbols[i + 1] === right;
    joined.push(here ? left + right : symbols[i]!);
    if (here) i++;
  }
  return joined;
}

/**
 * Merges, best first, that make one token of every word: byte-pair encoding of the list, the most frequent pair first, among equals the
 * first by code units.
 */
function mergesFor(words: readonly string[]): [string, string][] {
  let split = words.map((word) => [...word.slice(0, -1), `${word.at(-1)}${WORD_END}`]);
  const merges: [string, string][] = [];
  for (;;) {
    const best = [...pairsOf(split)].reduce<[string, number] | null>(
      (top, [pair, count]) =>
        top === null || count > top[1] || (count === top[1] && pair < top[0]) ? [pair, count] : top,
      null,
    );
    if (best === null) return merges;
    const [left, right] = best[0].split(' ') as [string, string];
    merges.push([left, right]);
    split = split.map((symbols) => join(symbols, left, right));
  }
}

/** The files of a tokenizer folder, and how many ids they have. */
export interface TokenizerFiles {
  readonly files: Readonly<Record<string, string>>;
  /** The last two ids are the start and the end token. */
  readonly vocabularySize: number;
}

/**
 * CLIP tokenizer files for a list of words in lower-case ASCII letters: each word is one token, other words are spelt from parts and bytes.
 * @param modelMaxLength tokens of a text, start and end included
 */
export function tokenizerFiles(words: readonly string[], modelMaxLength: number): TokenizerFiles {
  const characters = byteCharacters();
  const merges = mergesFor([...new Set(words)].sort());
  const tokens = new Set([
    ...characters,
    ...characters.map((character) => character + WORD_END),
    ...merges.map((pair) => pair.join('')),
    START,
    END,
  ]);
  const vocabulary = Object.fromEntries([...tokens].map((token, id) => [token, id]));
  const special = (content: string): object => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const named = { bos_token: special(START), eos_token: special(END), unk_token: special(END) };
  const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  return {
    vocabularySize: tokens.size,
    files: {
      'vocab.json': `${JSON.stringify(vocabulary)}\n`,
      'merges.txt': `#version: 0.2\n${merges.map((pair) => `${pair.join(' ')}\n`).join('')}`,
      'special_tokens_map.json': json({ ...named, pad_token: END }),
      'tokenizer_config.json': json({
        add_prefix_space: false,
        ...named,
        do_lower_case: true,
        errors: 'replace',
        model_max_length: modelMaxLength,
        pad_token: END,
        tokenizer_class: 'CLIPTokenizer',
      }),
    },
  };
}
