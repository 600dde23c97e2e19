import type { Tokenizer } from '../io/tokenizer.js';

/** Token ids of texts, one after the other. */
export function tokenRows(tokenizer: Tokenizer, texts: readonly string[]): Int32Array {
  const rows = new Int32Array(texts.length * tokenizer.modelMaxLength);
  texts.forEach((text, i) => {
    rows.set(tokenizer.encode(text).ids, i * tokenizer.modelMaxLength);
  });
  return rows;
}
