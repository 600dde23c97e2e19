import { createGraph, result } from '../graph/graph.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import { classLogits, likeliest } from '../pretrain/classLayout.js';
import { stateTrees } from '../pretrain/trainedTree.js';
import { type Attribute, attributeValues } from '../world/attributes.js';
import { SIDE } from '../world/canvas.js';
import { captionWords, vocabulary } from '../world/lexicon.js';
import {
  ATTRIBUTE_CLASSES,
  ATTRIBUTES,
  appendPictureReadings,
  COMPONENT,
  readTexts,
  wordRows,
  wordsInput,
} from './network.js';
import type { EvaluatorSizes } from './settings.js';

/** What the evaluators see in one picture. */
export interface Reading {
  /** Probability of each value of each attribute, in the order of `attributeValues`. */
  readonly probabilities: Readonly<Record<Attribute, Float32Array>>;
  /** Which one thing it is: a direction, of length 1. Cosines of these are fidelity. */
  readonly identity: Float32Array;
  /** What it shows: a direction, of length 1. The cosine with that of a text is how well they agree. */
  readonly pair: Float32Array;
}

/** The evaluators on an engine. Dispose it at the end; the session stays open. */
export interface Reader {
  /** @param pictures [64, 64, 3] in −1…1 each */
  read(pictures: readonly Float32Array[]): Promise<Reading[]>;
  /** Directions of texts, in the order given; words outside the world's vocabulary are left out. */
  readTexts(texts: readonly string[]): Promise<Float32Array[]>;
  dispose(): void;
}

/** Pictures or texts of one run of a program; how they are cut does not change a reading. */
const BATCH = 16;

/** Softmax of logits. */
function shares(logits: Float32Array): Float32Array {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function rows(all: Float32Array, n: number): Float32Array[] {
  const width = all.length / BATCH;
  return Array.from({ length: n }, (_, i) => all.slice(i * width, (i + 1) * width));
}

function probabilitiesOf(logits: Float32Array): Reading['probabilities'] {
  const entries = ATTRIBUTES.map(
    (attribute) => [attribute, shares(classLogits(logits, ATTRIBUTE_CLASSES, attribute, 0))] as const,
  );
  return Object.fromEntries(entries) as Record<Attribute, Float32Array>;
}

/** A reader of weights that a state buffer of the session holds. */
export async function loadedReader(
  session: Session,
  sizes: EvaluatorSizes,
  weights: { layout: FlatLayout; buffer: 'params' | 'ema' },
): Promise<Reader> {
  const pictureGraph = createGraph();
  appendPictureReadings(pictureGraph, sizes, weights, BATCH);
  const textGraph = createGraph();
  const p = stateTrees(textGraph, weights.layout, weights.buffer)(COMPONENT);
  result(textGraph, 'texts', readTexts(p, sizes, wordsInput(textGraph, BATCH)));
  const [pictures, texts] = [await loadProgram(session, pictureGraph, []), await loadProgram(session, textGraph, [])];
  const inBatches = async <In, Out>(
    all: readonly In[],
    one: (part: readonly In[]) => Promise<Out[]>,
  ): Promise<Out[]> => {
    const out: Out[] = [];
    for (let at = 0; at < all.length; at += BATCH) out.push(...(await one(all.slice(at, at + BATCH))));
    return out;
  };
  const readPart = async (part: readonly Float32Array[]): Promise<Reading[]> => {
    const image = new Float32Array(BATCH * SIDE * SIDE * 3);
    part.forEach((picture, i) => {
      image.set(picture, i * SIDE * SIDE * 3);
    });
    writeAll(pictures, { image });
    await pictures.run();
    const [logits, identity, pair] = ['logits', 'identity', 'pair'].map((name) =>
      rows(readResult(pictures, name), part.length),
    ) as [Float32Array[], Float32Array[], Float32Array[]];
    return part.map((_, i) => ({
      probabilities: probabilitiesOf(logits[i]!),
      identity: identity[i]!,
      pair: pair[i]!,
    }));
  };
  const readTextPart = async (part: readonly string[]): Promise<Float32Array[]> => {
    const words = new Float32Array(BATCH * vocabulary.length);
    words.set(wordRows(part.map((text) => captionWords(text.toLowerCase()))));
    writeAll(texts, { words });
    await texts.run();
    return rows(readResult(texts, 'texts'), part.length);
  };
  return {
    read: (all) => inBatches(all, readPart),
    readTexts: (all) => inBatches(all, readTextPart),
    dispose: () => {
      pictures.dispose();
      texts.dispose();
    },
  };
}

/** The most probable value of an attribute. */
export function seen<A extends Attribute>(
  { probabilities }: Reading,
  attribute: A,
): (typeof attributeValues)[A][number] {
  return attributeValues[attribute][likeliest(probabilities[attribute])]!;
}

/** Probability of one value. */
export function probabilityOf({ probabilities }: Reading, attribute: Attribute, value: string): number {
  return probabilities[attribute][(attributeValues[attribute] as readonly string[]).indexOf(value)]!;
}

/** Product of two directions: their cosine. */
export function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
