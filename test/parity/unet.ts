import { predictionGraph } from '../../lib/generate/denoiser.js';
import { createGraph, elements, input, result, type Value } from '../../lib/graph/graph.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';
import { type Conditions, prepareConditions, selectConditions, type TimeIds } from '../../lib/pipeline/conditions.js';
import { runOnce } from '../../lib/pipeline/session.js';
import type { TextStates } from '../../lib/pipeline/textStates.js';
import { traceUnet } from '../../lib/pipeline/unetGraph.js';
import { BOUNDS } from './bounds.js';
import type { Checks } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { type Reference, row, sides } from './reference.js';

/** Text states [n, t, e] of a file as the pipeline has them, with the pooled states, [n, p], if there are any. */
export function textStatesOf(reference: Reference, pooledKey: string): TextStates {
  const [n, tokens, width] = reference.shape('encoder_hidden_states') as [number, number, number];
  const pooled = reference.has(pooledKey) ? reference.floats(pooledKey) : null;
  return { n, tokens, width, states: reference.floats('encoder_hidden_states'), pooled, truncated: [] };
}

/** SDXL's size conditions of a file; none for other models. */
export function timeIdsOf(reference: Reference): TimeIds[] {
  if (!reference.has('time_ids')) return [];
  const [data, shape] = [reference.floats('time_ids'), reference.shape('time_ids')];
  return Array.from({ length: shape[0]! }, (_, i) => [...row(data, shape, i)] as unknown as TimeIds);
}

/** Latents [n, h, w, c] with their sizes. */
export interface Latents {
  readonly shape: readonly [n: number, c: number, h: number, w: number];
  readonly data: Float32Array;
}

/** The first `count` samples of a tensor [n, c, h, w], channels last. */
export function firstLatents(reference: Reference, key: string, count?: number): Latents {
  const [n, c, h, w] = sides(reference.shape(key));
  const shape = [count ?? n, c, h, w] as const;
  return { shape, data: toChannelsLast(reference.floats(key).subarray(0, elements(shape)), shape) };
}

async function predict(
  { session, model: { unet } }: Pipeline,
  { shape: [batch, , height, width], data }: Latents,
  timesteps: readonly number[],
  conditions: Conditions,
  contextTokens: number,
): Promise<Float32Array> {
  const { compute } = session;
  const graph = predictionGraph(unet, { batch, height, width, contextTokens, compute });
  const feeds = { sample: data, timesteps: Float32Array.from(timesteps), ...conditions.feeds };
  return (await runOnce(session, graph, [unet], feeds)).get('prediction')!;
}

/** The pass in which the output of every module is kept; nothing of it is computed beforehand. */
async function checkModules(pipeline: Pipeline, reference: Reference, text: TextStates, checks: Checks): Promise<void> {
  const wanted = reference.keys.filter((key) => key.startsWith('act.'));
  if (wanted.length === 0) return;
  const { session, model } = pipeline;
  const { shape, data } = firstLatents(reference, 'sample');
  const [batch, channels, height, width] = shape;
  const graph = createGraph();
  const outputs = new Map<string, Value>();
  const { compute } = session;
  const sample = input(graph, 'sample', [batch, height, width, channels], compute);
  traceUnet(graph, model.unet, { batch, height, width, contextTokens: text.tokens, compute }, sample, {
    cached: false,
    onOutput: (path, value) => void outputs.set(path, value),
  });
  for (const key of wanted) {
    const value = outputs.get(key.slice('act.'.length));
    if (value) result(graph, key, value);
  }
  const sdxl = text.pooled ? { textEmbeds: text.pooled, timeIds: Float32Array.from(timeIdsOf(reference).flat()) } : {};
  const timesteps = Float32Array.from(reference.ints('timesteps'));
  const feeds = { sample: data, timesteps, encoderHiddenStates: text.states, ...sdxl };
  const results = await runOnce(session, graph, [model.unet], feeds);
  const compared = wanted.map((key) => ({
    name: key,
    ours: results.get(key) ?? [],
    theirs: reference.channelsLast(key),
  }));
  checks.each('act.*', compared, BOUNDS.unet);
}

/** Predictions for the batch, for the first sample at single timesteps, for odd sides, and the output of every module. */
export async function checkUnet(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const { session, model } = pipeline;
  const text = textStatesOf(reference, 'text_embeds');
  const conditions = await prepareConditions(session, model, text, timeIdsOf(reference));
  const compare = async (name: string, latents: Latents, timesteps: readonly number[]): Promise<void> => {
    const rows = latents.shape[0] === conditions.n ? conditions : selectConditions(conditions, [0]);
    const ours = await predict(pipeline, latents, timesteps, rows, text.tokens);
    checks.each(name, [{ name, ours, theirs: reference.channelsLast(name) }], BOUNDS.unet);
  };
  await compare('out', firstLatents(reference, 'sample'), [...reference.ints('timesteps')]);
  for (const key of reference.keys) {
    const [, t] = /^out\.t(\d+)$/.exec(key) ?? [];
    if (t !== undefined) await compare(key, firstLatents(reference, 'sample', 1), [Number(t)]);
  }
  if (reference.has('odd.out')) {
    await compare('odd.out', firstLatents(reference, 'odd.sample'), [...reference.ints('odd.timesteps')]);
  }
  await checkModules(pipeline, reference, text, checks);
}
