// A made-up CLIP vocabulary of the true size and build: 256 bytes, the same 256 at the end of a word, 48,894 merges,
// two special tokens.

/** Bytes as the printable characters that byte-level BPE writes for them, in vocabulary order. */
function byteCharacters() {
  const shown = [];
  for (let byte = 0; byte < 256; byte++) {
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) shown.push(byte);
  }
  const hidden = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !shown.includes(byte));
  return [...shown, ...hidden.map((_, i) => 256 + i)].map((code) => String.fromCharCode(code));
}

const MERGES = 49408 - 2 * 256 - 2;
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

/**
 * Every pair and triple of letters, inside and at the end of words, then words of four letters until the count is
 * reached.
 */
function merges() {
  const pairs = LETTERS.flatMap((a) => LETTERS.map((b) => [a, b]));
  const triples = pairs.flatMap(([a, b]) => LETTERS.map((c) => [a + b, c]));
  const ends = (list) => list.map(([left, right]) => [left, `${right}</w>`]);
  const fewer = [...pairs, ...ends(pairs), ...triples, ...ends(triples)];
  const fours = triples
    .slice(0, Math.ceil((MERGES - fewer.length) / LETTERS.length))
    .flatMap(([ab, c]) => LETTERS.map((d) => [ab + c, `${d}</w>`]));
  return [...fewer, ...fours.slice(0, MERGES - fewer.length)];
}

let made;

/** vocab.json and merges.txt, made once. */
function vocabularyFiles() {
  made ??= makeVocabularyFiles();
  return made;
}

function makeVocabularyFiles() {
  const bytes = byteCharacters();
  const list = merges();
  const tokens = [
    ...bytes,
    ...bytes.map((character) => `${character}</w>`),
    ...list.map(([left, right]) => left + right),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  return {
    'vocab.json': `{${tokens.map((token, id) => `${JSON.stringify(token)}:${id}`).join(',')}}`,
    'merges.txt': ['#version: 0.2', ...list.map((merge) => merge.join(' ')), ''].join('\n'),
  };
}

/** The texts of a tokenizer folder for each padding token, by file name. */
export function tokenizerFolders(padTokens) {
  const vocabulary = vocabularyFiles();
  return padTokens.map((pad_token) => {
    const special = {
      bos_token: '<|startoftext|>',
      eos_token: '<|endoftext|>',
      pad_token,
      unk_token: '<|endoftext|>',
    };
    const config = {
      ...special,
      add_prefix_space: false,
      do_lower_case: true,
      errors: 'replace',
      model_max_length: 77,
      tokenizer_class: 'CLIPTokenizer',
    };
    return {
      ...vocabulary,
      'special_tokens_map.json': JSON.stringify(special, null, 2),
      'tokenizer_config.json': JSON.stringify(config, null, 2),
    };
  });
}
