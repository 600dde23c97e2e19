import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import { add } from '../ops/add.js';
import { linear } from '../ops/linear.js';
import { mse } from '../ops/mse.js';
import { scale } from '../ops/scale.js';
import { slice } from '../ops/slice.js';
import { softmaxCrossEntropy } from '../ops/softmaxCrossEntropy.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { stateTrees } from '../pretrain/trainedTree.js';
import { appendGradients, appendUpdate } from '../pretrain/updateGraph.js';
import type { Attribute } from '../world/attributes.js';
import {
  ATTRIBUTE_CLASSES,
  ATTRIBUTES,
  COMPONENT,
  imageInput,
  readPictures,
  readTexts,
  rowsOf,
  wordsInput,
} from './network.js';
import type { EvaluatorSettings, EvaluatorTraining } from './settings.js';

/** Pictures of a step, in this order: shape classes, recoloured sprites, sprites, the same sprites again. */
export function picturesOf({ classes, recoloured, sprites }: EvaluatorTraining): number {
  return classes + recoloured + 2 * sprites;
}

/** How many of the first pictures of a step have a label for an attribute. */
export function labelled(attribute: Attribute, training: EvaluatorTraining): number {
  if (attribute === 'shape') return training.classes;
  return attribute === 'colour' ? training.classes + training.recoloured : picturesOf(training);
}

/** Results of the step graph that the log shows. */
export const PARTS: readonly string[] = [...ATTRIBUTES, 'identity', 'pair', 'cover'];

function attributeLosses(logits: Value, training: EvaluatorTraining): Map<string, Value> {
  return new Map(
    ATTRIBUTES.map((attribute) => {
      const count = labelled(attribute, training);
      const own = slice(rowsOf(logits, 0, count), ATTRIBUTE_CLASSES.ranges[attribute]);
      return [attribute, softmaxCrossEntropy(own, input(logits.graph, `labels.${attribute}`, [count], 'i32')).loss];
    }),
  );
}

/**
 * −log of the softmax share of the other picture of a sprite, by sharpened cosines, among all first pictures of sprites, all recoloured
 * sprites and all shape classes of the step.
 */
function identityLoss(identity: Value, { classes, recoloured, sprites, sharpness }: EvaluatorTraining): Value {
  const first = classes + recoloured + sprites;
  const asked = rowsOf(identity, first, first + sprites);
  const labels = input(identity.graph, 'labels.identity', [sprites], 'i32');
  const cosines = linear(asked, rowsOf(identity, 0, first), null);
  return softmaxCrossEntropy(scale(cosines, sharpness.identity), labels).loss;
}

/** Both ways of finding the other of each pair among those of the step (Radford et al. 2021), with a fixed sharpness. */
function pairLoss(pictures: Value, texts: Value, sharpness: number): Value {
  const labels = input(pictures.graph, 'labels.pair', [pictures.shape[0]!], 'i32');
  const toText = softmaxCrossEntropy(scale(linear(pictures, texts, null), sharpness), labels).loss;
  const toPicture = softmaxCrossEntropy(scale(linear(texts, pictures, null), sharpness), labels).loss;
  return scale(add(toText, toPicture), 0.5);
}

/**
 * One training step of the evaluators: losses, gradients and AdamW on all of the layout. Inputs `image` [n, 64, 64, 3], `words`
 * [captioned, vocabulary], `labels.*` and those of the update.
 */
export function evaluatorStepGraph({ sizes, training }: EvaluatorSettings, layout: FlatLayout): Graph {
  const graph = createGraph();
  const p = stateTrees(graph, layout, 'params')(COMPONENT);
  const n = picturesOf(training);
  const captioned = training.classes + training.recoloured;
  const { logits, identity, pair, cover } = readPictures(p, sizes, imageInput(graph, n));
  const texts = readTexts(p, sizes, wordsInput(graph, captioned));
  const losses = attributeLosses(logits, training);
  losses.set('identity', identityLoss(identity, training));
  losses.set('pair', pairLoss(rowsOf(pair, 0, captioned), texts, training.sharpness.pair));
  losses.set('cover', mse(cover, input(graph, 'labels.cover', cover.shape)).loss);
  const weights: Readonly<Record<string, number>> = training.weights;
  const loss = [...losses].map(([name, part]) => scale(part, weights[name] ?? 1)).reduce((sum, part) => add(sum, part));
  for (const [name, value] of losses) result(graph, name, value);
  result(graph, 'loss', loss);
  appendGradients(graph, loss);
  appendUpdate(graph, loss, layout);
  return graph;
}
