import { describe, expect, it } from 'vitest';
import { adapterLayout } from '../../lib/adapters/adapterLayout.js';
import { type AttachedAdapters, attachAdapters } from '../../lib/adapters/attachAdapters.js';
import { createGraph, type DType, elements, type Graph, input, result, type Value } from '../../lib/graph/graph.js';
import { basicTransformerBlock, joinedInputs } from '../../lib/models/attention.js';
import { type ParamHooks, type ParamTree, paramTree, type TensorInfo } from '../../lib/params/paramTree.js';
import { grad } from '../../lib/transform/grad.js';
import { blockOf, remat } from '../../lib/transform/remat.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const BLOCK = 'mid_block.transformer_blocks.0';
const [C, E] = [8, 5];
const QKV = ['to_q', 'to_k', 'to_v'].map((name) => `${BLOCK}.attn1.${name}`);

const shapes: Record<string, number[]> = {
  ...Object.fromEntries(
    ['norm1', 'norm2', 'norm3'].flatMap((n) => [
      [`${n}.weight`, [C]],
      [`${n}.bias`, [C]],
    ]),
  ),
  ...Object.fromEntries(
    ['attn1', 'attn2'].flatMap((a) => [
      [`${a}.to_q.weight`, [C, C]],
      ...['to_k', 'to_v'].map((name) => [`${a}.${name}.weight`, [C, a === 'attn1' ? C : E]]),
      [`${a}.to_out.0.weight`, [C, C]],
      [`${a}.to_out.0.bias`, [C]],
    ]),
  ),
  'ff.net.0.proj.weight': [8 * C, C],
  'ff.net.0.proj.bias': [8 * C],
  'ff.net.2.weight': [C, 4 * C],
  'ff.net.2.bias': [C],
};

function tensorsOf(stored: Record<string, string> = {}): Map<string, TensorInfo> {
  return new Map(
    Object.entries(shapes).map(([name, shape]) => [`${BLOCK}.${name}`, { dtype: stored[name] ?? 'F16', shape }]),
  );
}

interface Form {
  compute?: DType;
  /** Of the layers by path; 0: none. */
  rank?: (path: string) => number;
  orthogonal?: boolean;
  ranks?: readonly number[];
  joinOf?: (path: string) => readonly string[] | undefined;
  stored?: Record<string, string>;
  hooks?: ParamHooks;
}

interface Built {
  graph: Graph;
  tree: ParamTree;
  y: Value;
  attached: AttachedAdapters;
}

function build({ compute, rank = () => 3, orthogonal = true, ranks = [2], joinOf, stored, hooks = {} }: Form): Built {
  const graph = createGraph();
  const layers = Object.entries(shapes).flatMap(([name, [out, width]]) => {
    const path = `${BLOCK}.${name.slice(0, -'.weight'.length)}`;
    const r = name.endsWith('weight') && name.startsWith('attn') ? rank(path) : 0;
    return r > 0 ? [{ path, in: width!, out: out!, rank: r }] : [];
  });
  const form = compute ? { partOf: blockOf, joinOf: joinOf ?? joinedInputs } : {};
  const attached = attachAdapters(graph, adapterLayout(layers, orthogonal), form);
  const tree = paramTree(graph, 'unet', tensorsOf(stored), {
    ...{ compute, adapter: attached.hook, joinedAdapter: attached.joinedHook },
    ...hooks,
  });
  const n = ranks.length;
  const [x, context] = [input(graph, 'x', [n, 4, C]), input(graph, 'context', [n, 3, E])];
  const y = basicTransformerBlock(tree.child(BLOCK), x, context, 2);
  tree.expectAllUsed();
  return { graph, tree, y, attached };
}

/** Values of a leaf that depend on its name alone; those of joined weights are those of their parts. */
function valuesOf(leaf: Value, ranks: readonly number[]): number[] {
  if (leaf.name === 'activeRank') return [...ranks];
  const { rows = [leaf.name] } = leaf.leaf?.kind === 'weight' ? leaf.leaf : {};
  return rows.flatMap((name) => {
    const random = pseudoRandom([...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 99991, 7));
    return Array.from({ length: elements(leaf.shape) / rows.length }, () => 0.5 * random.normal());
  });
}

/** y, and the gradients of x and of everything trained. */
function evaluate(form: Form, again = false): Map<string, Float64Array> {
  const { graph, y, attached } = build(form);
  result(graph, 'y', y);
  const wanted = [graph.leaves.get('input:x')!, ...attached.leaves()];
  const gradients = grad(y, input(graph, 'dy', y.shape), wanted);
  const used = again ? remat(graph, new Set([BLOCK])) : graph;
  for (const [i, leaf] of wanted.entries()) if (gradients[i]) result(used, leaf.name, gradients[i]);
  const leaves = [...graph.leaves.values()].map((leaf): [Value, Float64Array] => {
    return [leaf, Float64Array.from(valuesOf(leaf, form.ranks ?? [2]))];
  });
  const all = interpret(used, new Map(leaves));
  return new Map([...used.results].map(([name, value]) => [name, all.get(value)!]));
}

const opNames = ({ graph }: Built): string[] => graph.nodes.map(({ op }) => op.name);
const count = (names: readonly string[], name: string): number => names.filter((one) => one === name).length;

describe('attention on a CUDA device', () => {
  it.each<[string, Form]>([
    ['adapters with a start', {}],
    ['samples with ranks of their own', { ranks: [3, 0, 1] }],
    ['plain adapters', { orthogonal: false, ranks: [1, 2] }],
    ['no adapters', { rank: () => 0 }],
    ['adapters of some of the three alone', { rank: (path) => (path === QKV[1] ? 0 : 3) }],
    ['adapters of keys of the text alone', { rank: (path) => (path.endsWith('attn2.to_k') ? 3 : 0) }],
    ['adapters of different ranks', { rank: (path) => (path === QKV[1] ? 2 : 3) }],
    ['adapters that are not to be joined', { joinOf: () => undefined }],
  ])('gives what separate layers give, and their gradients: %s', (_name, form) => {
    const expected = evaluate(form);
    for (const again of [false, true]) {
      const got = evaluate({ ...form, compute: 'f32' }, again);
      expect([...got.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, values] of expected) {
        got.get(name)!.forEach((value, i) => {
          expect(value, `${name}[${i}]`).toBeCloseTo(values[i]!, 9);
        });
      }
    }
  });

  it('is one product of the rows of all three, with one branch', () => {
    const built = build({ compute: 'bf16' });
    const names = opNames(built);
    expect([count(names, 'selfAttention'), count(names, 'crossAttention'), count(names, 'attention')]).toEqual([
      1, 1, 0,
    ]);
    expect([count(names, 'linear'), count(names, 'lowRankBranch'), count(names, 'lowRankFactors')]).toEqual([4, 5, 1]);
    expect([count(names, 'linearResidual'), count(names, 'add')]).toEqual([3, 0]);
    const w = built.graph.nodes.find(({ op }) => op.name === 'linear')!.inputs[1]!;
    expect(w).toMatchObject({ shape: [3 * C, C], dtype: 'bf16', name: `unet/${BLOCK}.attn1.to_q+to_k+to_v.weight` });
    expect(w.leaf).toMatchObject({ rows: QKV.map((path) => `unet/${path}.weight`) });
    expect(built.attached.paths()).toHaveLength(8);
    expect(built.tree.usedElements()).toBe(Object.values(shapes).reduce((sum, shape) => sum + elements(shape), 0));
  });

  it('leaves one gradient of each x: branch and product add to one another’s, and a norm what went around it', () => {
    const { graph, y, attached } = build({ compute: 'f32' });
    const forward = graph.nodes.length;
    grad(y, input(graph, 'dy', y.shape), [graph.leaves.get('input:x')!, ...attached.leaves()]);
    const backward = graph.nodes.slice(forward);
    expect(backward.filter(({ path }) => path.includes('attn1')).map(({ op }) => op.name)).toEqual([
      ...['lowRankBranchVjp', 'linearResidualVjp'],
      'selfAttentionVjp',
      ...['linearVjp', 'lowRankBranchVjp'],
    ]);
    expect(backward.filter(({ op }) => op.name === 'add')).toEqual([]);
    const norms = backward.filter(({ op }) => op.name === 'layerNormVjp');
    expect(norms.map(({ inputs }) => inputs.at(-1)?.name)).toEqual(['dy', 'dx', 'dx']);
  });

  it('adds what goes around within the products, but not for any device nor where outputs are watched', () => {
    const seen = new Map<string, Value>();
    const onOutput = (path: string, value: Value): void => void seen.set(path.slice(BLOCK.length + 1), value);
    const sums = (form: Form): number[] => {
      const names = opNames(build({ rank: () => 0, compute: 'bf16', ...form }));
      return [count(names, 'linearResidual'), count(names, 'add')];
    };
    expect(sums({})).toEqual([3, 0]);
    expect(sums({ hooks: { trained: () => null } })).toEqual([3, 0]);
    expect(sums({ hooks: { anyDevice: true } })).toEqual([0, 3]);
    expect(sums({ hooks: { onOutput } })).toEqual([0, 3]);
    expect(opNames(build({})).filter((name) => name === 'linearResidual' || name === 'add')).toHaveLength(3);
    for (const path of ['attn1', 'attn1.to_out.0', 'attn2', 'ff.net.2', 'ff'])
      expect(seen.get(path)?.node?.op.name, path).toBe('linear');
  });

  it('stays separate for the CPU and for any device, where the file’s types differ, and where tensors are trained', () => {
    const apart = (form: Form): string[] => {
      const { graph } = build({ rank: () => 0, ...form });
      return graph.nodes.flatMap(({ op, path }) => (op.name === 'attention' ? [path.slice(BLOCK.length + 1)] : []));
    };
    expect(apart({})).toEqual(['attn1', 'attn2']);
    expect(apart({ compute: 'bf16' })).toEqual([]);
    expect(apart({ compute: 'bf16', stored: { 'attn1.to_k.weight': 'F32' } })).toEqual(['attn1']);
    expect(apart({ compute: 'bf16', stored: { 'attn2.to_k.weight': 'F32' } })).toEqual(['attn2']);
    expect(apart({ compute: 'bf16', hooks: { anyDevice: true } })).toEqual(['attn1', 'attn2']);
    expect(apart({ compute: 'bf16', hooks: { trained: () => null } })).toEqual(['attn1', 'attn2']);
    expect(apart({ compute: 'bf16', rank: () => 3, hooks: { joinedAdapter: () => null } })).toEqual(['attn1', 'attn2']);
  });

  it('names the key that is missing or wrong', () => {
    const tensors = tensorsOf();
    tensors.set(`${QKV[2]}.weight`, { dtype: 'F16', shape: [C, C + 1] });
    const graph = createGraph();
    const tree = paramTree(graph, 'unet', tensors, { compute: 'bf16' });
    const [x, context] = [input(graph, 'x', [1, 4, C], 'bf16'), input(graph, 'context', [1, 3, E], 'bf16')];
    const trace = (): Value => basicTransformerBlock(tree.child(BLOCK), x, context, 2);
    expect(trace).toThrow(`[unet] tensor '${QKV[2]}.weight': shape: expected [8, 8], got [8, 9]`);
    for (const path of QKV) tensors.set(`${path}.weight`, { dtype: 'F16', shape: [C + 1, C] });
    expect(trace).toThrow(`[unet] tensor '${QKV[0]}.weight': shape: expected [8, 8], got [9, 8]`);
    tensors.delete(`${QKV[1]}.weight`);
    tensors.set(`${QKV[0]}.weight`, { dtype: 'F16', shape: [C, C] });
    expect(trace).toThrow(`[unet] tensor '${QKV[1]}.weight': expected [8, 8], got no such key`);
  });
});

describe('joinedInputs', () => {
  it('names what reads x in self-attention and the text in cross-attention, and nothing else', () => {
    expect(joinedInputs(QKV[1]!)).toEqual(QKV);
    expect(joinedInputs(`${BLOCK}.attn2.to_v`)).toEqual(['to_k', 'to_v'].map((name) => `${BLOCK}.attn2.${name}`));
    for (const name of ['attn1.to_out.0', 'attn2.to_q', 'attn2.to_out.0', 'attn11.to_q', 'attn1.to_q.weight'])
      expect(joinedInputs(`${BLOCK}.${name}`), name).toBeUndefined();
  });
});
