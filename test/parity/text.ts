import { loadTokenizer } from '../../lib/io/tokenizer.js';
import { encodePrompts, type TextStates, textEncoderConfig } from '../../lib/pipeline/textStates.js';
import { BOUNDS } from './bounds.js';
import type { Checks } from './checks.js';
import type { Pipeline } from './pipeline.js';
import type { Reference } from './reference.js';

function encodeAll(folder: string, prompts: readonly string[]): Int32Array {
  const tokenizer = loadTokenizer(folder);
  return Int32Array.from(prompts.flatMap((prompt) => [...tokenizer.encode(prompt).ids]));
}

/** Columns `from` … `from + width` of all rows. */
function columns({ states, width }: TextStates, from: number, count: number): Float32Array {
  return Float32Array.from({ length: (states.length / width) * count }, (_, i) => {
    return states[Math.floor(i / count) * width + from + (i % count)]!;
  });
}

/** Token ids, and the states of the text encoders, of all prompts of the file. */
export async function checkText({ model, session }: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const prompts = reference.metadata('prompts') as string[];
  const equal = (key: string, folder: string | undefined): void => {
    if (!reference.has(key)) return;
    const theirs = reference.ints(key);
    const ours = folder === undefined ? new Int32Array() : encodeAll(folder, prompts);
    const at = theirs.findIndex((id, i) => ours[i] !== id);
    checks.holds(`${key} equal`, at < 0 && ours.length === theirs.length, at < 0 ? undefined : `first at ${at}`);
  };
  equal('input_ids', model.tokenizer);
  equal('input_ids_2', model.tokenizer2);
  const text = await encodePrompts(session, model, prompts);
  const first = textEncoderConfig(model.textEncoder).hiddenSize;
  const ours: Record<string, () => Float32Array | null> = {
    encoder_hidden_states: () => text.states,
    pooled: () => text.pooled,
    te1_penultimate: () => columns(text, 0, first),
    te2_penultimate: () => columns(text, first, text.width - first),
  };
  for (const [key, compute] of Object.entries(ours)) {
    if (!reference.has(key)) continue;
    checks.each(key, [{ name: key, ours: compute() ?? [], theirs: reference.floats(key) }], BOUNDS.text);
  }
}
