import type { AdapterFile } from '../adapters/adapterFile.js';
import { attachAdapters } from '../adapters/attachAdapters.js';
import { layoutOf, writeAdapter } from '../adapters/openAdapter.js';
import { FileFormatError } from '../errors.js';
import { createGraph, type Graph, input, result } from '../graph/graph.js';
import type { Component, ModelFiles } from '../io/modelFolder.js';
import { loadTokenizer } from '../io/tokenizer.js';
import { clipText, endTokenIndex } from '../models/clipText.js';
import { type ClipTextConfig, readClipTextConfig } from '../models/clipTextConfig.js';
import { paramTree } from '../params/paramTree.js';
import type { ComputeType } from './precision.js';
import { ensureState, type Feeds, releaseComponent, runOnce, type Session } from './session.js';

/** Text states of `n` prompts. */
export interface TextStates {
  readonly n: number;
  readonly tokens: number;
  readonly width: number;
  /** [n, tokens, width] */
  readonly states: Float32Array;
  /** SDXL: pooled and projected states of the second encoder [n, pooledWidth]; else null. */
  readonly pooled: Float32Array | null;
  /** Ends of prompts that were too long, by prompt. */
  readonly truncated: readonly string[];
}

/** An adapter of a text encoder. */
export interface TextAdapter {
  readonly file: AdapterFile;
  /** Factor on its change. */
  readonly strength: number;
}

/** Adapters of text encoders, by the encoders' names. */
export type TextAdapters = ReadonlyMap<string, TextAdapter>;

/**
 * One text encoder on `n` rows of token ids. Inputs: `inputIds` [n, t] and `endTokens` [n]. Results: `last` (last_hidden_state),
 * `penultimate` (the layer before the last, before the final norm) and, for encoders with a projection, `pooled`.
 * With an adapter its values lie in the state buffer `params`, and `activeRank` [n] is an input.
 */
export function textEncoderGraph(
  encoder: Component,
  config: ClipTextConfig,
  n: number,
  wanted: readonly string[],
  compute?: ComputeType,
  adapter?: TextAdapter,
): Graph {
  const graph = createGraph();
  const form = compute === undefined ? {} : { partOf: () => undefined };
  const attached =
    adapter && attachAdapters(graph, layoutOf(adapter.file), { strength: adapter.strength, equalRanks: true, ...form });
  const hooks = attached && { adapter: attached.hook };
  const tree = paramTree(graph, encoder.name, encoder.tensors, { compute, ...hooks });
  const inputIds = input(graph, 'inputIds', [n, config.maxPositions], 'i32');
  const endTokens = input(graph, 'endTokens', [n], 'i32');
  const outputs = clipText(tree, config, { inputIds, endTokens });
  const values = {
    last: outputs.lastHiddenState,
    penultimate: outputs.hiddenStates.at(-2) ?? null,
    pooled: outputs.pooled,
  };
  for (const [name, value] of Object.entries(values)) if (value && wanted.includes(name)) result(graph, name, value);
  return graph;
}

/** Token ids [n, t] as one array. */
export type TokenRows = readonly Int32Array[];

function encoderFeeds(ids: TokenRows, eosTokenId: number): Feeds {
  const length = ids[0]?.length ?? 0;
  const inputIds = new Int32Array(ids.length * length);
  ids.forEach((row, i) => {
    inputIds.set(row, i * length);
  });
  return { inputIds, endTokens: Int32Array.from(ids, (row) => endTokenIndex(row, eosTokenId)) };
}

/** The checked config of a text encoder. */
export function textEncoderConfig(encoder: Component): ClipTextConfig {
  return readClipTextConfig(encoder.config, encoder.name === 'text_encoder_2' ? encoder.name : 'text_encoder');
}

/** @throws FileFormatError if a tokenizer and its text encoder do not belong together */
function expectTokens(encoder: Component, { maxPositions, vocabSize }: ClipTextConfig, ids: TokenRows): void {
  const hint = 'Tokenizer and text encoder do not belong together: download both again.';
  const length = ids.find((row) => row.length !== maxPositions)?.length;
  if (length !== undefined) {
    const expected = `model_max_length ${maxPositions}, as max_position_embeddings of ${encoder.name}`;
    throw new FileFormatError(`[tokenizer of ${encoder.name}] expected ${expected}, got ${length}`, { hint });
  }
  const id = ids.flatMap((row) => [...row]).find((token) => token >= vocabSize);
  if (id === undefined) return;
  const expected = `ids below vocab_size of ${encoder.name}, ${vocabSize}`;
  throw new FileFormatError(`[tokenizer of ${encoder.name}] expected ${expected}, got ${id}`, { hint });
}

/** Loads the values of an adapter, and gives the rows' ranks: all that it has. */
function loadAdapter(session: Session, { file }: TextAdapter, rows: number): Feeds {
  const layout = layoutOf(file);
  ensureState(session, 'params', layout.flat.total);
  writeAdapter(file, layout, session.engine);
  return { activeRank: new Int32Array(rows).fill(Math.max(...file.layers.map((layer) => layer.rank))) };
}

/** Runs one text encoder, then frees its weights. */
export async function runTextEncoder(
  session: Session,
  encoder: Component,
  ids: TokenRows,
  wanted: readonly ('last' | 'penultimate' | 'pooled')[],
  adapter?: TextAdapter,
): Promise<{ config: ClipTextConfig; results: Map<string, Float32Array> }> {
  const config = textEncoderConfig(encoder);
  expectTokens(encoder, config, ids);
  const graph = textEncoderGraph(encoder, config, ids.length, wanted, session.compute, adapter);
  const ranks = adapter && loadAdapter(session, adapter, ids.length);
  const results = await runOnce(session, graph, [encoder], { ...encoderFeeds(ids, config.eosTokenId), ...ranks });
  releaseComponent(session, encoder);
  return { config, results };
}

/** Rows of two encoders side by side: [n·t, a] and [n·t, b] to [n·t, a + b]. */
function sideBySide(a: Float32Array, aWidth: number, b: Float32Array, bWidth: number): Float32Array {
  const rows = a.length / aWidth;
  const y = new Float32Array(a.length + b.length);
  for (let i = 0; i < rows; i++) {
    y.set(a.subarray(i * aWidth, (i + 1) * aWidth), i * (aWidth + bWidth));
    y.set(b.subarray(i * bWidth, (i + 1) * bWidth), i * (aWidth + bWidth) + aWidth);
  }
  return y;
}

/**
 * Text states from token ids. SD: last hidden state. SDXL: penultimate states of both encoders side by side, and the pooled
 * projection of the second.
 */
export async function encodeTokens(
  session: Session,
  model: ModelFiles,
  ids: TokenRows,
  ids2: TokenRows | null,
  adapters?: TextAdapters,
): Promise<Omit<TextStates, 'truncated'>> {
  const n = ids.length;
  const tokens = ids[0]!.length;
  const own = adapters?.get(model.textEncoder.name);
  if (!model.textEncoder2 || !ids2) {
    const { config, results } = await runTextEncoder(session, model.textEncoder, ids, ['last'], own);
    return { n, tokens, width: config.hiddenSize, states: results.get('last')!, pooled: null };
  }
  const first = await runTextEncoder(session, model.textEncoder, ids, ['penultimate'], own);
  const second = await runTextEncoder(
    session,
    model.textEncoder2,
    ids2,
    ['penultimate', 'pooled'],
    adapters?.get(model.textEncoder2.name),
  );
  const [a, b] = [first.config.hiddenSize, second.config.hiddenSize];
  const states = sideBySide(first.results.get('penultimate')!, a, second.results.get('penultimate')!, b);
  return { n, tokens, width: a + b, states, pooled: second.results.get('pooled')! };
}

/** Text states of prompts. */
export async function encodePrompts(
  session: Session,
  model: ModelFiles,
  prompts: readonly string[],
  adapters?: TextAdapters,
): Promise<TextStates> {
  const tokenizer = loadTokenizer(model.tokenizer);
  const first = prompts.map((prompt) => tokenizer.encode(prompt));
  const second = model.tokenizer2 ? prompts.map(encodeWith(model.tokenizer2)) : null;
  const ids2 = second?.map((e) => e.ids) ?? null;
  const truncated = first.flatMap((e) => e.truncated ?? []);
  return {
    ...(await encodeTokens(
      session,
      model,
      first.map((e) => e.ids),
      ids2,
      adapters,
    )),
    truncated,
  };
}

function encodeWith(folder: string): (prompt: string) => { ids: Int32Array } {
  const tokenizer = loadTokenizer(folder);
  return (prompt) => tokenizer.encode(prompt);
}

/** Zero states in the shape of others: what SDXL uses for an empty negative prompt. */
export function zeroStates(like: TextStates): TextStates {
  const zeros = (x: Float32Array): Float32Array => new Float32Array(x.length);
  return { ...like, states: zeros(like.states), pooled: like.pooled && zeros(like.pooled), truncated: [] };
}

/** Prompts `rows` of some states, one after the other. */
export function selectStates(from: TextStates, rows: readonly number[]): TextStates {
  const pick = (x: Float32Array): Float32Array => {
    const size = x.length / from.n;
    const y = new Float32Array(rows.length * size);
    rows.forEach((row, i) => {
      y.set(x.subarray(row * size, (row + 1) * size), i * size);
    });
    return y;
  };
  return { ...from, n: rows.length, states: pick(from.states), pooled: from.pooled && pick(from.pooled) };
}

/** States of two sets of prompts of one model, one after the other. */
export function joinStates(a: TextStates, b: TextStates): TextStates {
  const join = (x: Float32Array, y: Float32Array): Float32Array => {
    const z = new Float32Array(x.length + y.length);
    z.set(x);
    z.set(y, x.length);
    return z;
  };
  const pooled = a.pooled && b.pooled ? join(a.pooled, b.pooled) : null;
  return { ...a, n: a.n + b.n, states: join(a.states, b.states), pooled, truncated: [...a.truncated, ...b.truncated] };
}
