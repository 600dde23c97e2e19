// Gradients of values that are read twice, where the rule of one reader adds to that of the other.
import { describe, expect, it } from 'vitest';
import { createGraph, input, type Node, type Value } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { concat } from '../../lib/ops/concat.js';
import { layerNorm } from '../../lib/ops/layerNorm.js';
import { scale } from '../../lib/ops/scale.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';

const normed = (x: Value): Value => layerNorm(x, null, null, { eps: 1e-5 });

/** The nodes of x's gradient. */
function backward(build: (x: Value, frozen: Value) => Value, narrow = false): Node[] {
  const graph = createGraph();
  const x = input(graph, 'x', [3, 4]);
  const y = build(x, input(graph, 'frozen', [3, 2]));
  const forward = graph.nodes.length;
  grad(y, input(graph, 'dy', y.shape), [x], { narrow });
  return graph.nodes.slice(forward);
}

const names = (nodes: readonly Node[]): string[] => nodes.map(({ op }) => op.name);

describe('grad of what a norm and others read', () => {
  it('adds within the gradient of the norm what went around it', () => {
    const nodes = backward((x) => add(x, scale(normed(x), 2)));
    expect(names(nodes)).toEqual(['scale', 'layerNormVjp']);
    expect(nodes[1]!.inputs.at(-1)!.name).toBe('dy');
  });

  it('adds the gradients of two norms in a row', () => {
    const nodes = backward((x) => add(scale(normed(x), 2), normed(x)));
    expect(names(nodes)).toEqual(['layerNormVjp', 'scale', 'layerNormVjp']);
    expect(nodes[2]!.inputs.at(-1)).toBe(nodes[0]!.outputs[0]);
  });

  it('adds after the norm what comes after its gradient', () => {
    const nodes = backward((x) => {
      const around = scale(x, 3);
      return add(around, normed(x));
    });
    expect(names(nodes)).toEqual(['layerNormVjp', 'scale', 'add']);
    expect(nodes[0]!.inputs.at(-1)).toBeNull();
  });

  it('leaves a gradient of fewer channels to a sum of its own', () => {
    const build = (x: Value, frozen: Value): Value => {
      const joined = concat(x, frozen);
      return add(joined, normed(joined));
    };
    expect(names(backward(build, true))).toEqual(['slice', 'layerNormVjp', 'slice', 'add']);
  });

  it('gives right gradients either way', () => {
    const inputs = { x: [3, 4], w: [4] };
    const twice = (x: Value, w: Value): Value =>
      layerNorm(layerNorm(x, w, null, { eps: 1e-5 }), w, null, { eps: 1e-5 });
    checkGradients({ inputs, build: ({ x, w }) => add(add(x!, twice(x!, w!)), scale(x!, 3)) });
  });
});
