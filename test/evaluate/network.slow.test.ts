import { describe, expect, it } from 'vitest';
import { ATTRIBUTE_CLASSES, ATTRIBUTES, networkLayout, wordRows } from '../../lib/evaluate/network.js';
import { EVALUATOR_SETTINGS } from '../../lib/evaluate/settings.js';
import { lessonFeeds } from '../../lib/evaluate/stage.js';
import { evaluatorStepGraph, labelled, PARTS, picturesOf } from '../../lib/evaluate/stepGraph.js';
import { elements } from '../../lib/graph/graph.js';
import { attributeValues } from '../../lib/world/attributes.js';
import { vocabulary } from '../../lib/world/lexicon.js';
import { tinyEvaluators } from './tinyEvaluators.js';

describe('the evaluators’ network', () => {
  it('has one logit for each value of each attribute', () => {
    const ranges = ATTRIBUTES.map((name) => ATTRIBUTE_CLASSES.ranges[name]);
    expect(ranges.map(({ start, end }) => end - start)).toEqual(ATTRIBUTES.map((name) => attributeValues[name].length));
    expect(ranges.map(({ start }) => start)).toEqual([0, ...ranges.slice(0, -1).map(({ end }) => end)]);
    expect(ATTRIBUTE_CLASSES.width).toBe(69);
  });

  it('takes at most 5 MB in float16', () => {
    const counts = [...networkLayout(EVALUATOR_SETTINGS.sizes).entries.values()].map(({ count }) => count);
    expect(2 * counts.reduce((a, b) => a + b)).toBeLessThan(4.9e6);
  });

  it('costs what the settings say', () => {
    const graph = evaluatorStepGraph(EVALUATOR_SETTINGS, networkLayout(EVALUATOR_SETTINGS.sizes));
    const flops = graph.nodes.reduce((sum, node) => sum + (node.op.flops?.(node) ?? 0), 0);
    expect(flops / picturesOf(EVALUATOR_SETTINGS.training) / 1e9).toBeCloseTo(0.41, 2);
  });

  it('reads a text as the set of its known words', () => {
    const rows = wordRows([['a', 'red', 'red', 'cat', 'zebra'], []]);
    const row = rows.subarray(0, vocabulary.length);
    const set = vocabulary.filter((_, column) => row[column] !== 0);
    expect(set).toEqual(['a', 'cat', 'red']);
    expect(row.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 6);
    expect(rows.subarray(vocabulary.length).every((value) => value === 0)).toBe(true);
  });
});

describe('a step of the evaluators', () => {
  const settings = tinyEvaluators();
  const graph = evaluatorStepGraph(settings, networkLayout(settings.sizes));

  it('gets every input that changes, of its size', () => {
    const feeds = lessonFeeds(settings, 3);
    const own = ['lossSeed', 'hyper', 'emaMix', 'labels.pair', 'labels.identity'];
    const inputs = [...graph.leaves.values()].filter(({ leaf }) => leaf?.kind === 'input');
    expect(Object.keys(feeds).sort()).toEqual(
      inputs
        .map(({ name }) => name)
        .filter((name) => !own.includes(name))
        .sort(),
    );
    for (const { name, shape } of inputs) if (!own.includes(name)) expect(feeds[name]!.length).toBe(elements(shape));
    for (const [name, values] of Object.entries(feeds))
      if (name.startsWith('labels')) expect(Math.min(...values), name).toBeGreaterThanOrEqual(0);
  });

  it('draws the same for a step, and other pictures for another', () => {
    expect(lessonFeeds(settings, 3)).toEqual(lessonFeeds(settings, 3));
    expect(lessonFeeds(settings, 3).image).not.toEqual(lessonFeeds(settings, 4).image);
  });

  it('labels shapes of classes, colours of those and of recoloured sprites, all else of all', () => {
    expect(ATTRIBUTES.map((name) => labelled(name, settings.training))).toEqual([10, 4, 6, 10, 10, 10, 10, 10]);
    expect([...graph.results.keys()].sort()).toEqual([...PARTS, 'loss', 'norm'].sort());
  });
});
