import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { adaptableLayers } from '../../lib/adapters/modelLayers.js';
import { createGraph, elements, input, state, type Value } from '../../lib/graph/graph.js';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { unet2dCondition } from '../../lib/models/unet2dCondition.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { unetAdaptedLinears } from '../../lib/models/wholeModel.js';
import { type ParamHooks, type ParamTree, paramTree } from '../../lib/params/paramTree.js';
import { grad } from '../../lib/transform/grad.js';
import { modelRun, type Reference, readReference, relativeError } from './modelFixture.js';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const { unet } = openModelFolder(`${fixtures}tiny-sd15`);
const config = readUnetConfig(unet.config);

/** The first sample alone: the reference ran a batch of two. */
function first({ shape, data }: Reference): Reference {
  const cut = [1, ...shape.slice(1)];
  return { shape: cut, data: data.subarray(0, elements(cut)) };
}

describe('unet2dCondition against the reference', () => {
  const reference = readReference(`${fixtures}expected-sd15/unet.safetensors`);

  function predict(prefix: string, hooks: ParamHooks = {}): { out: Value; values: Map<Value, Float64Array> } {
    const run = modelRun(unet, hooks);
    const out = unet2dCondition(run.params, config, {
      sample: run.feed('sample', first(reference.get(`${prefix}sample`)!)),
      timesteps: run.feed('timesteps', first(reference.get(`${prefix}timesteps`)!)),
      encoderHiddenStates: run.feed('states', first(reference.get('encoder_hidden_states')!)),
    });
    return { out, values: run.run() };
  }

  it.each<{ name: string; compute?: 'f32' }>([{ name: 'the CPU' }, { name: 'a CUDA device', compute: 'f32' }])(
    'gives the prediction and the output of every module, as for $name',
    ({ compute }) => {
      const watched = new Map<string, Value>();
      const { out, values } = predict('', { compute, onOutput: (path, value) => void watched.set(path, value) });
      const joined = [...out.graph.leaves.values()].flatMap(({ leaf }) =>
        leaf?.kind === 'weight' && leaf.rows ? [leaf.rows.length] : [],
      );
      const all = [...unet.tensors.keys()].filter((key) => /\.(attn1\.to_[qkv]|attn2\.to_[kv])\.weight$/.test(key));
      expect(joined.reduce((sum, rows) => sum + rows, 0)).toBe(compute ? all.length : 0);
      expect(new Set(joined)).toEqual(new Set(compute ? [3, 2] : []));
      expect(relativeError(out, values.get(out)!, first(reference.get('out')!))).toBeLessThan(1e-5);
      const modules = [...reference.keys()].filter((key) => key.startsWith('act.'));
      expect(modules).toHaveLength(54);
      for (const key of modules) {
        const value = watched.get(key.slice('act.'.length))!;
        expect(relativeError(value, values.get(value)!, first(reference.get(key)!)), key).toBeLessThan(1e-5);
      }
    },
  );

  it('takes latents whose sides do not divide by 4', () => {
    const { out, values } = predict('odd.');
    expect(out.shape).toEqual([1, 12, 10, 4]);
    expect(relativeError(out, values.get(out)!, reference.get('odd.out')!)).toBeLessThan(1e-5);
  });
});

describe('unet2dCondition traced', () => {
  function trace(hooks: ParamHooks, graph = createGraph()): { tree: ParamTree; out: Value } {
    const tree = paramTree(graph, 'unet', unet.tensors, hooks);
    const out = unet2dCondition(tree, config, {
      sample: input(graph, 'sample', [2, 7, 5, 4]),
      timesteps: input(graph, 'timesteps', [2]),
      encoderHiddenStates: input(graph, 'states', [2, 77, 24]),
    });
    return { tree, out };
  }

  it('keeps odd sides', () => {
    expect(trace({}).out.shape).toEqual([2, 7, 5, 4]);
  });

  it('gives every node the path of its diffusers module', () => {
    const { out } = trace({});
    const paths = new Set(out.graph.nodes.map((node) => node.path));
    expect(paths).toContain('down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q');
    expect(paths).toContain('down_blocks.0.attentions.0.transformer_blocks.0');
    expect(paths).toContain('up_blocks.2.resnets.2.conv_shortcut');
    expect(paths).not.toContain('');
  });

  it('does the same work when outputs are watched, norms before their SiLU aside', () => {
    const plain = trace({}).out.graph.nodes.map((node) => `${node.op.name} ${node.path} ${node.attrs.silu ?? ''}`);
    const seen: string[] = [];
    const watched = trace({ onOutput: (path) => seen.push(path) }).out.graph.nodes;
    const same = watched.filter(
      (node) => !(node.op.name === 'groupNorm' && /norm\d$|norm_out$/.test(node.path) && !node.attrs.silu),
    );
    expect(same.map((node) => `${node.op.name} ${node.path} ${node.attrs.silu ?? ''}`)).toEqual(plain);
    expect(seen).toContain('mid_block.resnets.0.nonlinearity');
  });

  it('lists the layers to adapt in network order', () => {
    const paths = unetAdaptedLinears(unet.tensors, config);
    const block = 'down_blocks.0.attentions.0.transformer_blocks.0';
    const names = ['attn1', 'attn2'].flatMap((a) =>
      ['to_q', 'to_k', 'to_v', 'to_out.0'].map((l) => `${block}.${a}.${l}`),
    );
    expect(paths.slice(0, 8)).toEqual(names);
    expect(paths).toHaveLength(8 * (2 * 2 + 1 + 2 * 3));
    expect(new Set(paths).size).toBe(paths.length);
    const order = [...new Set(paths.map((path) => path.split('.')[0]))];
    expect(order).toEqual(['down_blocks', 'mid_block', 'up_blocks']);
    for (const path of paths) expect(unet.tensors.has(`${path}.weight`)).toBe(true);
  });

  it('asks for the adapter of every linear layer and 1×1 convolution with its input and base, and uses what it gives', () => {
    const graph = createGraph();
    const calls = new Map<string, { x: Value; base: Value }>();
    const target = 'mid_block.attentions.0.transformer_blocks.0.attn2.to_k';
    const replacement = input(graph, 'replacement', [2, 77, 48]);
    trace(
      {
        adapter: (path, x, base) => {
          calls.set(path, { x, base });
          return path === target ? replacement : base;
        },
      },
      graph,
    );
    expect([...calls.keys()].sort()).toEqual([...adaptableLayers(unet.tensors).keys()].sort());
    expect(calls.has('down_blocks.0.attentions.0.proj_in')).toBe(true);
    expect(calls.get(target)!.x.name).toBe('states');
    expect(calls.get(target)!.base).toMatchObject({ shape: [2, 77, 48], node: { op: { name: 'linear' } } });
    const attention = graph.nodes.find((node) => node.op.name === 'attention' && node.inputs[1] === replacement);
    expect(attention?.path).toBe('mid_block.attentions.0.transformer_blocks.0.attn2');
  });

  it('takes base products that were computed before, with their keys accounted for', () => {
    const graph = createGraph();
    const adapted: string[] = [];
    const { tree } = trace(
      {
        cachedBase: (path) => {
          const rows = unet.tensors.get(`${path}.weight`)!.shape[0]!;
          return /attn2\.to_[kv]$/.test(path) ? input(graph, `cached/${path}`, [2, 77, rows]) : null;
        },
        adapter: (path, _x, base) => {
          if (base.leaf?.kind === 'input') adapted.push(path);
          return base;
        },
      },
      graph,
    );
    expect(adapted).toHaveLength(2 * 11);
    expect([...graph.leaves.keys()].filter((key) => /^weight:.*attn2\.to_[kv]/.test(key))).toEqual([]);
    expect(tree.unusedKeys()).toEqual([]);
  });

  it('has a gradient for every weight when all are trained', () => {
    const graph = createGraph();
    const trained: Value[] = [];
    const { out } = trace(
      {
        trained: (key, shape) => {
          const slice = state(graph, 'params', trained.length, shape, key);
          trained.push(slice);
          return slice;
        },
      },
      graph,
    );
    expect(trained).toHaveLength(unet.tensors.size);
    const gradients = grad(out, input(graph, 'seed', out.shape), trained);
    gradients.forEach((gradient, i) => {
      expect(gradient?.shape, trained[i]!.name).toEqual(trained[i]!.shape);
    });
  });

  it('refuses inputs of another width', () => {
    const graph = createGraph();
    const tree = paramTree(graph, 'unet', unet.tensors);
    const run = (channels: number, width: number) =>
      unet2dCondition(tree, config, {
        sample: input(graph, `sample ${channels}`, [1, 8, 8, channels]),
        timesteps: input(graph, 'timesteps', [1]),
        encoderHiddenStates: input(graph, `states ${width}`, [1, 77, width]),
      });
    expect(() => run(9, 24)).toThrow('channels of sample: expected 4, got 9');
    expect(() => run(4, 32)).toThrow('channels of encoderHiddenStates: expected 24, got 32');
  });
});
