import { describe, expect, it } from 'vitest';
import { createGraph, type DType, elements, type Graph, input, result, type Value } from '../../lib/graph/graph.js';
import { resnetBlock2D } from '../../lib/models/resnet.js';
import { type ParamHooks, paramTree, type TensorInfo } from '../../lib/params/paramTree.js';
import { grad } from '../../lib/transform/grad.js';
import { remat } from '../../lib/transform/remat.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const BLOCK = 'mid_block.resnets.0';
const E = 3;

interface Form {
  samples: number;
  channels: number;
  out: number;
  timed: boolean;
  compute?: DType;
  hooks?: ParamHooks;
}

function tensorsOf({ channels, out, timed }: Form): Map<string, TensorInfo> {
  const layers: Record<string, number[]> = {
    norm1: [channels],
    conv1: [out, channels, 3, 3],
    norm2: [out],
    conv2: [out, out, 3, 3],
    ...(timed && { time_emb_proj: [out, E] }),
    ...(channels !== out && { conv_shortcut: [out, channels, 1, 1] }),
  };
  const tensors = Object.entries(layers).flatMap(([name, shape]): [string, TensorInfo][] => [
    [`${BLOCK}.${name}.weight`, { dtype: 'F16', shape }],
    [`${BLOCK}.${name}.bias`, { dtype: 'F16', shape: [shape[0]!] }],
  ]);
  return new Map(tensors);
}

function build(form: Form): { graph: Graph; x: Value; y: Value } {
  const { samples, channels, out, timed, compute, hooks = {} } = form;
  const graph = createGraph();
  const tree = paramTree(graph, 'unet', tensorsOf(form), { compute, ...hooks });
  const x = input(graph, 'x', [samples, 4, 3, channels], compute);
  const emb = timed ? input(graph, 'emb', [samples, E], compute) : null;
  const y = resnetBlock2D(tree.child(BLOCK), x, emb, { out, groups: 2, eps: 1e-5 });
  tree.expectAllUsed();
  return { graph, x, y };
}

/** y, and the gradients of x and the embedding. */
function evaluate(form: Form, again = false): Map<string, Float64Array> {
  const { graph, y } = build(form);
  result(graph, 'y', y);
  const wanted = [...graph.leaves.values()].filter(({ leaf }) => leaf?.kind === 'input');
  const gradients = grad(y, input(graph, 'dy', y.shape), wanted);
  const used = again ? remat(graph, new Set([BLOCK])) : graph;
  for (const [i, leaf] of wanted.entries()) result(used, leaf.name, gradients[i]!);
  const leaves = [...graph.leaves.values()].map((leaf): [Value, Float64Array] => {
    const random = pseudoRandom([...leaf.name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 99991, 7));
    return [leaf, Float64Array.from({ length: elements(leaf.shape) }, () => random.normal())];
  });
  const all = interpret(used, new Map(leaves));
  return new Map([...used.results].map(([name, value]) => [name, all.get(value)!]));
}

const opNames = (form: Form): string[] => build(form).graph.nodes.map(({ op }) => op.name);

const FORMS: [string, Form][] = [
  ['one sample', { samples: 1, channels: 4, out: 4, timed: true }],
  ['one sample with a shortcut', { samples: 1, channels: 6, out: 4, timed: true }],
  ['two samples', { samples: 2, channels: 4, out: 4, timed: true }],
  ['two samples with a shortcut', { samples: 2, channels: 2, out: 4, timed: true }],
  ['no time', { samples: 2, channels: 4, out: 4, timed: false }],
];

describe('resnetBlock2D on a CUDA device', () => {
  it.each(FORMS)('gives what the CPU’s graph gives, and its gradients: %s', (_name, form) => {
    const expected = evaluate(form);
    for (const again of [false, true]) {
      const got = evaluate({ ...form, compute: 'f32' }, again);
      expect([...got.keys()]).toEqual([...expected.keys()]);
      for (const [name, values] of expected) {
        got.get(name)!.forEach((value, i) => {
          expect(value, `${name}[${i}]`).toBeCloseTo(values[i]!, 9);
        });
      }
    }
  });

  it('adds the shortcut within the last convolution, and one sample’s time with the first one’s bias', () => {
    const [one, , two] = FORMS.map(([, form]) => form);
    const first = ['groupNorm', 'reshape', 'linearResidual', 'reshape', 'conv2d', 'groupNorm'];
    expect(opNames({ ...one!, compute: 'bf16' })).toEqual([...first, 'conv2dResidual']);
    expect(opNames({ ...one!, channels: 6, compute: 'bf16' })).toEqual([...first, 'conv2d', 'conv2dResidual']);
    const several = ['groupNorm', 'conv2d', 'linear', 'addPerSample', 'groupNorm', 'conv2dResidual'];
    expect(opNames({ ...two!, compute: 'bf16' })).toEqual(several);
  });

  it('adds apart on the CPU, for any device, and where outputs are watched', () => {
    const form = FORMS[1]![1];
    const apart = ['groupNorm', 'conv2d', 'linear', 'addPerSample', 'groupNorm', 'conv2d', 'conv2d', 'add'];
    expect(opNames(form)).toEqual(apart);
    expect(opNames({ ...form, compute: 'f32', hooks: { anyDevice: true } })).toEqual(apart);
    const seen = new Map<string, string>();
    const onOutput = (path: string, { node }: Value): void => void seen.set(path, node!.op.name);
    const watched = opNames({ ...form, compute: 'f32', hooks: { onOutput } });
    expect(watched.filter((name) => !apart.includes(name))).toEqual([]);
    expect(seen.get(`${BLOCK}.conv2`)).toBe('conv2d');
    expect(seen.get(`${BLOCK}.conv_shortcut`)).toBe('conv2d');
    expect(seen.get(BLOCK)).toBe('add');
  });
});
