// Gradients of what joins a part that carries them with one that does not.
import { describe, expect, it } from 'vitest';
import { createGraph, input, type Node, type Value } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { concat } from '../../lib/ops/concat.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { groupNorm } from '../../lib/ops/groupNorm.js';
import { silu } from '../../lib/ops/silu.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const SIDE = 3;
const OUT = 2;

/** What an up block does with h and a skip: norm, SiLU and 3×3 window, beside a 1×1 window. */
function resnet(values: Record<string, Value>, groups: number): Value {
  const { h, skip, scale, shift, w, shortcut } = values as Record<
    'h' | 'skip' | 'scale' | 'shift' | 'w' | 'shortcut',
    Value
  >;
  const joined = concat(h, skip);
  const normed = groupNorm(joined, scale, shift, { groups, eps: 1e-5, silu: true });
  return add(conv2d(normed, w, null, { pad: 1 }), conv2d(joined, shortcut, null));
}

const shapes = (h: number, skip: number): Record<string, number[]> => ({
  h: [2, SIDE, SIDE, h],
  skip: [2, SIDE, SIDE, skip],
  scale: [h + skip],
  shift: [h + skip],
  w: [OUT, 3, 3, h + skip],
  shortcut: [OUT, 1, 1, h + skip],
});

/** The nodes that the gradients of `trained` need. */
function backward(h: number, skip: number, groups: number, trained: string[], narrow: boolean): Node[] {
  const graph = createGraph();
  const values = Object.fromEntries(
    Object.entries(shapes(h, skip)).map(([name, shape]) => [name, input(graph, name, shape)]),
  );
  const y = resnet(values, groups);
  const forward = graph.nodes.length;
  grad(
    y,
    input(graph, 'dy', y.shape),
    trained.map((name) => values[name]!),
    { narrow },
  );
  return graph.nodes.slice(forward);
}

const widths = (nodes: Node[], op: string): (number | undefined)[] =>
  nodes.filter((node) => node.op.name === op).map((node) => node.outputs[0]?.shape.at(-1));

describe('grad with narrow', () => {
  // Groups that end where the skip begins, and groups that do not.
  for (const [h, skip, groups] of [
    [4, 4, 4],
    [4, 2, 2],
    [2, 6, 4],
  ] as const) {
    it(`gives the gradient of ${h} channels beside ${skip} in ${groups} groups`, () => {
      const { h: trained, ...frozen } = shapes(h, skip);
      const random = pseudoRandom(5);
      const values = (shape: number[]) => Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
      const fixed = Object.fromEntries(
        Object.entries(frozen).map(([name, shape]) => [name, { shape, values: values(shape) }]),
      );
      checkGradients({ inputs: { h: trained! }, fixed, narrow: true, build: (all) => silu(resnet(all, groups)) });
    });
  }

  it('computes the channels of the trained part, and whole groups where these are cut', () => {
    const aligned = backward(4, 4, 4, ['h'], true);
    expect(widths(aligned, 'conv2dVjp')).toEqual([4, 4]);
    expect(widths(aligned, 'groupNormVjp')).toEqual([4]);
    const cut = backward(4, 2, 2, ['h'], true);
    expect(widths(cut, 'conv2dVjp')).toEqual([4, 6]);
    expect(widths(cut, 'groupNormVjp')).toEqual([6]);
  });

  it('computes all where the skip carries a gradient, or the norm does, or it is not asked for', () => {
    for (const nodes of [backward(4, 4, 4, ['h', 'skip'], true), backward(4, 4, 4, ['h'], false)]) {
      expect(widths(nodes, 'conv2dVjp')).toEqual([8, 8]);
      expect(widths(nodes, 'groupNormVjp')).toEqual([8]);
    }
    expect(widths(backward(4, 4, 4, ['h', 'scale'], true), 'conv2dVjp')).toEqual([4, 8]);
  });
});
