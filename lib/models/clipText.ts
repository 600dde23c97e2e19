// transformers models/clip/modeling_clip.py: CLIPTextModel, CLIPTextModelWithProjection
import type { Value } from '../graph/graph.js';
import { expectRank, expectThat } from '../graph/shapes.js';
import { addRows } from '../ops/addRows.js';
import { attention } from '../ops/attention.js';
import { embedding } from '../ops/embedding.js';
import { gatherRows } from '../ops/gatherRows.js';
import { gelu } from '../ops/gelu.js';
import type { ParamNode } from '../params/paramTree.js';
import type { ClipTextConfig } from './clipTextConfig.js';
import { addedTo, inside, layerNormLayer, linearLayer, module } from './layers.js';

export interface ClipTextInputs {
  /** Token ids [n, t], i32. */
  readonly inputIds: Value;
  /** Row of each sample's end token [n], i32, from `endTokenIndex`; needed for `pooled` only. */
  readonly endTokens?: Value;
}

export interface ClipTextOutputs {
  /** The embeddings, then each layer's output: layers + 1 times [n, t, c], all before the final norm. */
  readonly hiddenStates: readonly Value[];
  /** final_layer_norm of the last of them. */
  readonly lastHiddenState: Value;
  /** Last hidden state at the end token [n, c]; with text_projection [n, p]. null without `endTokens`. */
  readonly pooled: Value | null;
}

/** Row of the end token among `ids`: the largest id in models whose config says 2 (they came before it was stored), else the first `eosTokenId`, or 0. */
export function endTokenIndex(ids: ArrayLike<number>, eosTokenId: number): number {
  const list = Array.from(ids);
  const wanted = eosTokenId === 2 ? list.reduce((a, b) => Math.max(a, b), -1) : eosTokenId;
  return Math.max(0, list.indexOf(wanted));
}

/** CLIPTextModel, or CLIPTextModelWithProjection where the config has `projectionDim`, over the root of its checkpoint. */
export function clipText(root: ParamNode, config: ClipTextConfig, inputs: ClipTextInputs): ClipTextOutputs {
  const p = root.child('text_model');
  const layers = p.child('encoder.layers');
  const hiddenStates = [embeddings(p.child('embeddings'), config, inputs.inputIds)];
  for (let i = 0; i < config.layers; i++) {
    hiddenStates.push(encoderLayer(layers.child(i), hiddenStates.at(-1)!, config));
  }
  const lastHiddenState = layerNormLayer(p.child('final_layer_norm'), hiddenStates.at(-1)!, config.layerNormEps);
  return { hiddenStates, lastHiddenState, pooled: pool(root, config, lastHiddenState, inputs.endTokens) };
}

function embeddings(p: ParamNode, config: ClipTextConfig, inputIds: Value): Value {
  const { vocabSize, hiddenSize, maxPositions } = config;
  expectRank('clipText', 'inputIds', inputIds, 2);
  const tokens = inputIds.shape[1]!;
  expectThat(tokens === maxPositions, 'clipText', 'tokens', `${maxPositions}`, `${tokens}`, inputIds);
  return module(p, () => {
    const table = p.child('token_embedding').weight('weight', [vocabSize, hiddenSize]);
    const positions = p.child('position_embedding').weight('weight', [maxPositions, hiddenSize], 'f32');
    return addRows(embedding(inputIds, table, p.hooks.compute), positions);
  });
}

/** CLIPEncoderLayer: x + self_attn(layer_norm1 x), then + mlp(layer_norm2 x); causal, all linears with bias. */
function encoderLayer(
  p: ParamNode,
  x: Value,
  { heads, intermediateSize, activation, layerNormEps }: ClipTextConfig,
): Value {
  const out = x.shape.at(-1)!;
  const [attn, mlp] = [p.child('self_attn'), p.child('mlp')];
  return module(p, () => {
    const normed = layerNormLayer(p.child('layer_norm1'), x, layerNormEps);
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) => linearLayer(attn.child(name), normed, { out }));
    const o = inside(attn, () => attention(q!, k!, v!, { heads, causal: true }));
    const h = addedTo(p, x, (residual) => linearLayer(attn.child('out_proj'), o, { out, residual }));
    const wide = linearLayer(mlp.child('fc1'), layerNormLayer(p.child('layer_norm2'), h, layerNormEps), {
      out: intermediateSize,
    });
    const active = inside(mlp, () => gelu(wide, activation));
    return addedTo(p, h, (residual) => linearLayer(mlp.child('fc2'), active, { out, residual }));
  });
}

function pool(root: ParamNode, config: ClipTextConfig, states: Value, endTokens: Value | undefined): Value | null {
  const projection = root.child('text_projection');
  if (!endTokens) {
    if (config.projectionDim !== null) projection.markUsed('weight');
    return null;
  }
  const pooled = inside(projection, () => gatherRows(states, endTokens));
  return config.projectionDim === null
    ? pooled
    : linearLayer(projection, pooled, { out: config.projectionDim, bias: false });
}
