import type { TensorArray } from '../addon/surface.js';
import type { Component, ModelFiles } from '../io/modelFolder.js';
import { type Feeds, runOnce, type Session } from './session.js';
import type { TextStates } from './textStates.js';
import { crossAttentionGraph } from './unetGraph.js';

/** SDXL's size conditions: original height and width, crop top and left, target height and width, in pixels. */
export type TimeIds = readonly [number, number, number, number, number, number];

/** What the UNet reads beside latents and time; all of it constant for given prompts and sizes. */
export interface Conditions {
  readonly n: number;
  readonly feeds: Feeds;
}

/**
 * Text states, pooled states, size conditions and the cached base products of cross-attention.
 * @param timeIds one for each prompt; read by SDXL only
 */
export async function prepareConditions(
  session: Session,
  model: Pick<ModelFiles, 'unet' | 'kind'>,
  text: TextStates,
  timeIds: readonly TimeIds[],
): Promise<Conditions> {
  const products = await crossAttentionProducts(session, model.unet, text);
  const sdxl = text.pooled ? { textEmbeds: text.pooled, timeIds: Float32Array.from(timeIds.flat()) } : {};
  return { n: text.n, feeds: { encoderHiddenStates: text.states, ...sdxl, ...products } };
}

async function crossAttentionProducts(session: Session, unet: Component, text: TextStates): Promise<Feeds> {
  const graph = crossAttentionGraph(unet, text.n, text.tokens, session.compute);
  const results = await runOnce(session, graph, [unet], { encoderHiddenStates: text.states });
  const names = [...graph.leaves.values()].flatMap((leaf) => (leaf.leaf?.kind === 'weight' ? [leaf.name] : []));
  for (const name of names) {
    session.engine.releaseWeights(name);
    session.weights.delete(name);
  }
  return Object.fromEntries(results);
}

/** The conditions of some of the prompts, in any order, as one batch. */
export function selectConditions(from: Conditions, rows: readonly number[]): Conditions {
  const pick = (x: TensorArray): TensorArray => {
    const size = x.length / from.n;
    const joined = new (x.constructor as new (length: number) => TensorArray)(rows.length * size);
    rows.forEach((row, i) => {
      joined.set(x.subarray(row * size, (row + 1) * size), i * size);
    });
    return joined;
  };
  return { n: rows.length, feeds: Object.fromEntries(Object.entries(from.feeds).map(([name, x]) => [name, pick(x)])) };
}
