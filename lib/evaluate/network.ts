import { elements, type Graph, input, result, type Value } from '../graph/graph.js';
import { convLayer, groupNormSilu, linearLayer } from '../models/layers.js';
import { resnetBlock2D } from '../models/resnet.js';
import { attention } from '../ops/attention.js';
import { concat } from '../ops/concat.js';
import { l2Normalize } from '../ops/l2Normalize.js';
import { meanRows } from '../ops/meanRows.js';
import { reshape } from '../ops/reshape.js';
import { silu } from '../ops/silu.js';
import { slice } from '../ops/slice.js';
import type { FlatLayout } from '../params/flatLayout.js';
import type { ParamNode } from '../params/paramTree.js';
import { type ClassLayout, classLayout } from '../pretrain/classLayout.js';
import { layoutOf, stateTrees } from '../pretrain/trainedTree.js';
import { type Attribute, attributeValues } from '../world/attributes.js';
import { SIDE } from '../world/canvas.js';
import { vocabulary } from '../world/lexicon.js';
import type { EvaluatorSizes } from './settings.js';

/** All attributes, in the order of the logits. */
export const ATTRIBUTES = Object.keys(attributeValues) as readonly Attribute[];

/** The logits of one picture: the values of each attribute. */
export const ATTRIBUTE_CLASSES: ClassLayout<Attribute> = classLayout(
  ATTRIBUTES.map((attribute) => [attribute, attributeValues[attribute].length] as const),
);

/** The component name of all tensors: keys in the file have none. */
export const COMPONENT = 'evaluators';

/** What the network says of pictures, one row each. */
export interface PictureReadings {
  /** [n, width of ATTRIBUTE_CLASSES] */
  readonly logits: Value;
  /** [n, identity], of length 1 */
  readonly identity: Value;
  /** [n, shared], of length 1 */
  readonly pair: Value;
  /** [n, side/8, side/8, 1]: how much of each cell the subject covers, 0…1 */
  readonly cover: Value;
}

/** Features of pictures at 1/8 and 1/16 of the side: on each level a convolution to half the side, then a residual block. */
function trunk(p: ParamNode, image: Value, { widths, groups }: EvaluatorSizes): { fine: Value; coarse: Value } {
  const norm = { groups, eps: 1e-5 };
  const levels: Value[] = [];
  for (const [level, out] of widths.entries()) {
    const down = convLayer(p.child(`down.${level}`), levels.at(-1) ?? image, { out, stride: 2, pad: 1 });
    levels.push(resnetBlock2D(p.child(`block.${level}`), down, null, { out, ...norm }));
  }
  const [fine, coarse] = levels.slice(-2).map((x, i) => groupNormSilu(p.child(`norm.${i}`), x, norm));
  return { fine: fine!, coarse: coarse! };
}

/** Features [n, c] from the places that matter: attention of a query, made from the mean, over all places. */
function gathered(p: ParamNode, features: Value, mean: Value, { heads }: EvaluatorSizes): Value {
  const [n, height, width, c] = features.shape as [number, number, number, number];
  const places = reshape(features, [n, height * width, c]);
  const query = reshape(linearLayer(p.child('query'), mean, { out: c }), [n, 1, c]);
  const [key, value] = ['key', 'value'].map((name) => linearLayer(p.child(name), places, { out: c }));
  return reshape(attention(query, key!, value!, { heads }), [n, c]);
}

/** The network on pictures [n, side, side, 3] in −1…1. */
export function readPictures(p: ParamNode, sizes: EvaluatorSizes, image: Value): PictureReadings {
  const { fine, coarse: features } = trunk(p.child('trunk'), image, sizes);
  const n = image.shape[0]!;
  const flat = reshape(features, [n, elements(features.shape) / n]);
  const placed = silu(linearLayer(p.child('placed'), flat, { out: sizes.placed }));
  const mean = meanRows(features);
  const all = concat(placed, concat(gathered(p.child('gathered'), features, mean, sizes), mean));
  const attributes = silu(linearLayer(p.child('attributes.0'), all, { out: sizes.hidden }));
  const identity = silu(linearLayer(p.child('identity.0'), all, { out: sizes.hidden }));
  return {
    logits: linearLayer(p.child('attributes.1'), attributes, { out: ATTRIBUTE_CLASSES.width }),
    identity: l2Normalize(linearLayer(p.child('identity.1'), identity, { out: sizes.identity })),
    pair: l2Normalize(linearLayer(p.child('picture'), all, { out: sizes.shared })),
    cover: convLayer(p.child('cover'), fine, { out: 1, kernel: 1 }),
  };
}

/**
 * The text encoder: no word of the world has two meanings, so a text is the set of its words.
 * @param words [n, vocabulary]: 1/√count in the column of each word of the text
 * @returns [n, shared], of length 1
 */
export function readTexts(p: ParamNode, sizes: EvaluatorSizes, words: Value): Value {
  const first = silu(linearLayer(p.child('text.0'), words, { out: sizes.text }));
  const second = silu(linearLayer(p.child('text.1'), first, { out: sizes.text }));
  return l2Normalize(linearLayer(p.child('text.2'), second, { out: sizes.shared }));
}

/** The rows of texts that `readTexts` takes; words outside the vocabulary are left out. */
export function wordRows(wordsOf: readonly (readonly string[])[]): Float32Array {
  const rows = new Float32Array(wordsOf.length * vocabulary.length);
  wordsOf.forEach((words, row) => {
    const columns = [...new Set(words)].map((word) => COLUMNS.get(word)).filter((column) => column !== undefined);
    for (const column of columns) rows[row * vocabulary.length + column] = 1 / Math.sqrt(columns.length);
  });
  return rows;
}

const COLUMNS: ReadonlyMap<string, number> = new Map(vocabulary.map((word, column) => [word, column]));

/** Input `image` of a graph. */
export function imageInput(graph: Graph, n: number): Value {
  return input(graph, 'image', [n, SIDE, SIDE, 3]);
}

/** Cells of `cover` along a side. */
export const COVER_SIDE: number = SIDE / 8;

/** Input `words` of a graph. */
export function wordsInput(graph: Graph, n: number): Value {
  return input(graph, 'words', [n, vocabulary.length]);
}

/** All tensors of the network. */
export function networkLayout(sizes: EvaluatorSizes): FlatLayout {
  return layoutOf((graph, trees) => {
    readPictures(trees(COMPONENT), sizes, imageInput(graph, 1));
    readTexts(trees(COMPONENT), sizes, wordsInput(graph, 1));
  });
}

/** Appends results `logits`, `identity`, `pair` and `cover` for input `image` [n, …], from weights in a state buffer. */
export function appendPictureReadings(
  graph: Graph,
  sizes: EvaluatorSizes,
  weights: { layout: FlatLayout; buffer: 'params' | 'ema' },
  n: number,
): void {
  const p = stateTrees(graph, weights.layout, weights.buffer)(COMPONENT);
  for (const [name, value] of Object.entries(readPictures(p, sizes, imageInput(graph, n)))) result(graph, name, value);
}

/** Rows `start` up to `end` of x [n, c]. */
export function rowsOf(x: Value, start: number, end: number): Value {
  const [n, c] = x.shape as [number, number];
  if (start === 0 && end === n) return x;
  return reshape(slice(reshape(x, [1, n * c]), { start: start * c, end: end * c }), [end - start, c]);
}
