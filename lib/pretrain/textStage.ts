// The text encoder alone, before the UNet: it learns to say what captions state, as CLIP's comes to Stable Diffusion already able to read. A UNet
// hardly listens to an encoder that cannot read yet, and one that nobody listens to learns next to nothing.
import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Tokenizer } from '../io/tokenizer.js';
import { clipText, endTokenIndex } from '../models/clipText.js';
import { readClipTextConfig } from '../models/clipTextConfig.js';
import { linearLayer } from '../models/layers.js';
import { add } from '../ops/add.js';
import { slice } from '../ops/slice.js';
import { softmaxCrossEntropy } from '../ops/softmaxCrossEntropy.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { type Feeds, runOnce, type Session } from '../pipeline/session.js';
import { deriveSeed, randomTimesteps } from '../random/philox.js';
import type { CaptionSource, StatedCaption } from './captions.js';
import { type ClassLayout, classLayout, classLogits, likeliest } from './classLayout.js';
import { SEED_USES } from './draws.js';
import type { ModelConfigs } from './miniModel.js';
import type { Stage } from './runStage.js';
import type { PretrainSettings } from './settings.js';
import { tokenRows } from './tokenRows.js';
import { layoutOf, stateTrees, type Trees } from './trainedTree.js';
import { appendGradients, appendUpdate } from './updateGraph.js';
import { UNSEEN } from './vaeStage.js';

/** The classes of each attribute: its values, and one for `not stated`. */
function classesOf({ values }: CaptionSource): ClassLayout {
  return classLayout(Object.entries(values).map(([name, own]) => [name, own.length + 1] as const));
}

/**
 * Logits [n, classes of all attributes] from one row of each caption's last hidden states. Inputs `inputIds` [n, t] and `rows` [n], a row
 * from the end token on: all of these have seen the whole caption.
 */
function logitsOf(graph: Graph, trees: Trees, configs: ModelConfigs, source: CaptionSource, n: number): Value {
  const config = readClipTextConfig(configs.text_encoder, 'text_encoder');
  const inputIds = input(graph, 'inputIds', [n, config.maxPositions], 'i32');
  const endTokens = input(graph, 'rows', [n], 'i32');
  const { pooled } = clipText(trees('text_encoder'), config, { inputIds, endTokens });
  return linearLayer(trees('readings').child('classes'), pooled!, { out: classesOf(source).width });
}

/** All tensors of the text encoder and of what reads it. */
export function textLayout(configs: ModelConfigs, source: CaptionSource): FlatLayout {
  return layoutOf((graph, trees) => void logitsOf(graph, trees, configs, source, 1));
}

function stepGraph(configs: ModelConfigs, layout: FlatLayout, source: CaptionSource, n: number): Graph {
  const graph = createGraph();
  const logits = logitsOf(graph, stateTrees(graph, layout, 'params'), configs, source, n);
  const { names, ranges } = classesOf(source);
  const losses = names.map((name) => {
    const labels = input(graph, `labels.${name}`, [n], 'i32');
    return softmaxCrossEntropy(slice(logits, ranges[name]!), labels).loss;
  });
  const loss = losses.reduce((sum, part) => add(sum, part));
  result(graph, 'loss', loss);
  appendGradients(graph, loss);
  appendUpdate(graph, loss, layout);
  return graph;
}

interface Parts {
  readonly configs: ModelConfigs;
  readonly tokenizer: Tokenizer;
  readonly source: CaptionSource;
  readonly seed: number;
}

/** Inputs for captions; the row that is read is drawn between the end token and the last. */
function captionFeeds(
  { configs, tokenizer, source, seed }: Parts,
  captions: readonly StatedCaption[],
  step: number,
): Feeds {
  const inputIds = tokenRows(
    tokenizer,
    captions.map(({ text }) => text),
  );
  const length = tokenizer.modelMaxLength;
  const { eosTokenId } = readClipTextConfig(configs.text_encoder, 'text_encoder');
  const draws = randomTimesteps(deriveSeed(seed, SEED_USES.rows), step, captions.length, length);
  const rows = captions.map((_caption, i) => {
    const end = endTokenIndex(inputIds.subarray(i * length, (i + 1) * length), eosTokenId);
    return end + (draws[i]! % (length - end));
  });
  const labels = Object.entries(source.values).map(([name, values]) => {
    const own = captions.map(({ stated }) =>
      stated[name] === undefined ? values.length : values.indexOf(stated[name]),
    );
    return [`labels.${name}`, Int32Array.from(own)];
  });
  return { inputIds, rows: Int32Array.from(rows), ...Object.fromEntries(labels) };
}

const CHECKED = 256;

/** Share of the attributes of unseen captions, stated or not, that the averaged encoder's states tell. */
async function shareRead(session: Session, layout: FlatLayout, parts: Parts): Promise<number> {
  const { configs, source } = parts;
  const graph = createGraph();
  result(graph, 'logits', logitsOf(graph, stateTrees(graph, layout, 'ema'), configs, source, CHECKED));
  const captions = Array.from({ length: CHECKED }, (_, i) => source.draw(UNSEEN + i));
  const { inputIds, rows, ...labels } = captionFeeds(parts, captions, 0);
  const logits = (await runOnce(session, graph, [], { inputIds: inputIds!, rows: rows! })).get('logits')!;
  const classes = classesOf(source);
  const right = classes.names.flatMap((name) =>
    captions.map((_caption, i) => likeliest(classLogits(logits, classes, name, i)) === labels[`labels.${name}`]![i]),
  );
  return right.filter(Boolean).length / right.length;
}

/** Trains the text encoder: step s learns from captions (s − 1) · batch and on. */
export function textStage(
  configs: ModelConfigs,
  settings: PretrainSettings,
  { tokenizer, captions: source }: { readonly tokenizer: Tokenizer; readonly captions: CaptionSource },
): Stage {
  const { text } = settings;
  const seed = deriveSeed(settings.seed, 3);
  const layout = textLayout(configs, source);
  const parts = { configs, tokenizer, source, seed };
  return {
    name: 'text',
    seed,
    settings: text,
    layout,
    graph: stepGraph(configs, layout, source, text.batch),
    parts: [],
    components: [],
    constants: {},
    feeds: (step) => {
      const first = (step - 1) * text.batch;
      const captions = Array.from({ length: text.batch }, (_, i) => source.draw(first + i));
      return captionFeeds(parts, captions, step);
    },
    preview: async (session) => ({ right: await shareRead(session, layout, parts) }),
  };
}
