import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Feeds } from '../pipeline/session.js';
import type { Stage } from '../pretrain/runStage.js';
import { deriveSeed } from '../random/philox.js';
import { type GateSizes, measureGates } from './gates.js';
import { classLesson, identityLessons, labelsOf, recolouredLesson, stacked } from './lessons.js';
import { ATTRIBUTES, networkLayout, wordRows } from './network.js';
import { loadedReader } from './reader.js';
import type { EvaluatorSettings } from './settings.js';
import { evaluatorStepGraph, labelled, PARTS } from './stepGraph.js';

/** What each use of the seed draws from; 1 is the stage's start of the weights. */
const SEED_USES = { classes: 16, recoloured: 17, identities: 18 } as const;

/** Inputs of a step, 1 for the first. */
export function lessonFeeds({ seed, training }: EvaluatorSettings, step: number): Feeds {
  const { classes, recoloured, sprites } = training;
  const many = <T>(n: number, use: keyof typeof SEED_USES, one: (own: number, index: number) => T): T[] =>
    Array.from({ length: n }, (_, i) => one(deriveSeed(seed, SEED_USES[use]), (step - 1) * n + i));
  const pairs = many(sprites, 'identities', (own, i) => identityLessons(own, i));
  const captioned = [
    ...many(classes, 'classes', (own, i) => classLesson(own, i)),
    ...many(recoloured, 'recoloured', (own, i) => recolouredLesson(own, i)),
  ];
  const all = [...captioned, ...pairs.map(([first]) => first), ...pairs.map(([, second]) => second)];
  const labels = ATTRIBUTES.map((attribute) => [
    `labels.${attribute}`,
    labelsOf(all.slice(0, labelled(attribute, training)), attribute),
  ]);
  return {
    image: stacked(all.map(({ image }) => image)),
    'labels.cover': stacked(all.map(({ cover }) => cover)),
    words: wordRows(captioned.map(({ words }) => words)),
    ...Object.fromEntries(labels),
  };
}

/** Pictures of the check on the way. */
const CHECK_SIZES: GateSizes = { pictures: 256, concepts: 10, references: 4, distractors: 40 };

/** The training of the evaluators as a stage that runs in slices. Its check reads unseen pictures and appends to `checks.jsonl`. */
export function evaluatorStage(settings: EvaluatorSettings, check: GateSizes = CHECK_SIZES): Stage {
  const { seed, training } = settings;
  const layout = networkLayout(settings.sizes);
  const captioned = training.classes + training.recoloured;
  return {
    name: 'evaluators',
    seed,
    settings: training,
    layout,
    graph: evaluatorStepGraph(settings, layout),
    parts: PARTS,
    components: [],
    constants: {
      'labels.pair': Int32Array.from({ length: captioned }, (_, i) => i),
      'labels.identity': Int32Array.from({ length: training.sprites }, (_, i) => captioned + i),
    },
    feeds: (step) => lessonFeeds(settings, step),
    preview: async (session, dir, step) => {
      const reader = await loadedReader(session, settings.sizes, { layout, buffer: 'ema' });
      try {
        const gates = await measureGates(reader, check);
        appendFileSync(join(dir, 'checks.jsonl'), `${JSON.stringify({ step, ...gates })}\n`);
        return {};
      } finally {
        reader.dispose();
      }
    },
  };
}
