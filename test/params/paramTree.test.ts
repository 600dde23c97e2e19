import { describe, expect, it } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import { createGraph, state } from '../../lib/graph/graph.js';
import { type ParamHooks, type ParamTree, paramTree, type TensorInfo } from '../../lib/params/paramTree.js';

const path = 'unet/model.safetensors';
const tensors = new Map<string, TensorInfo>([
  ['conv_in.weight', { dtype: 'F16', shape: [8, 4, 3, 5], path }],
  ['conv_in.bias', { dtype: 'F16', shape: [8], path }],
  ['blocks.0.to_out.0.weight', { dtype: 'BF16', shape: [6, 8], path }],
  ['norm.weight', { dtype: 'F32', shape: [8], path }],
  ['ids', { dtype: 'I64', shape: [1, 77], path }],
]);

function tree(hooks: ParamHooks = {}): ParamTree {
  return paramTree(createGraph(), 'unet', tensors, hooks);
}

describe('paramTree', () => {
  it('turns a convolution weight to channels last and keeps its type', () => {
    const w = tree().child('conv_in').weight('weight', [8, 3, 5, 4]);
    expect(w).toMatchObject({ shape: [8, 3, 5, 4], dtype: 'f16', name: 'unet/conv_in.weight' });
    expect(w.leaf).toEqual({ kind: 'weight', name: 'unet/conv_in.weight' });
  });

  it('widens vectors, and matrices on request only', () => {
    const t = tree();
    const out = t.child('blocks').child(0).child('to_out.0');
    expect(out.path).toBe('blocks.0.to_out.0');
    expect(t.child('conv_in').weight('bias', [8]).dtype).toBe('f32');
    expect(out.weight('weight', [6, 8]).dtype).toBe('bf16');
    expect(tree().child('blocks.0.to_out.0').weight('weight', [6, 8], 'f32').dtype).toBe('f32');
  });

  it('gives biases of products the type in which CUDA computes', () => {
    const biasIn = (compute?: 'bf16' | 'f32', dtype?: 'compute'): string =>
      tree({ compute }).child('conv_in').weight('bias', [8], dtype).dtype;
    expect([biasIn('bf16', 'compute'), biasIn('f32', 'compute'), biasIn(undefined, 'compute')]).toEqual([
      'bf16',
      'f32',
      'f32',
    ]);
    expect(biasIn('bf16')).toBe('f32');
  });

  describe('with tensors of one shape', () => {
    const of = (dtypes: readonly string[]): ParamTree => {
      const entries = dtypes.flatMap((dtype, i): [string, TensorInfo][] => [
        [`attn.l${i}.weight`, { dtype, shape: [3, 4], path }],
        [`attn.l${i}.bias`, { dtype: 'F32', shape: [3], path }],
      ]);
      return paramTree(createGraph(), 'unet', new Map(entries), { compute: 'bf16' });
    };
    const names = ['l0', 'l1'];

    it('joins their rows in one leaf, and uses all of their keys', () => {
      const t = of(['F16', 'F16']);
      const p = t.child('attn');
      expect([p.alike(names, 'weight'), p.alike(names, 'bias'), p.alike(names, 'gain')]).toEqual([true, true, false]);
      const w = p.joinedWeight(names, 'weight', [3, 4]);
      expect(w).toMatchObject({ shape: [6, 4], dtype: 'bf16', name: 'unet/attn.l0+l1.weight' });
      expect(w.leaf).toMatchObject({ kind: 'weight', rows: ['unet/attn.l0.weight', 'unet/attn.l1.weight'] });
      expect(t.unusedKeys()).toEqual(['attn.l0.bias', 'attn.l1.bias']);
      expect(p.joinedWeight(names, 'bias', [3], 'compute')).toMatchObject({ shape: [6], dtype: 'bf16' });
      t.expectAllUsed();
      expect(p.joinedWeight(names, 'weight', [3, 4])).toBe(w);
    });

    it('says where types differ, and names a key of another shape', () => {
      expect(of(['F16', 'F32']).child('attn').alike(names, 'weight')).toBe(false);
      expect(() => of(['F16', 'F16']).child('attn').joinedWeight(names, 'weight', [3, 5])).toThrow(
        "[unet] tensor 'attn.l0.weight': shape: expected [3, 5], got [3, 4] (in unet/model.safetensors)",
      );
    });
  });

  it('gives the same leaf for the same key', () => {
    const p = tree().child('norm');
    expect(p.weight('weight', [8])).toBe(p.weight('weight', [8]));
  });

  it('tells shapes of the file without using them', () => {
    const t = tree();
    expect(t.child('conv_in').fileShape('weight')).toEqual([8, 4, 3, 5]);
    expect(t.child('conv_in').fileShape('gain')).toBeNull();
    expect(t.unusedKeys()).toHaveLength(tensors.size);
  });

  it('names a missing key with component and file', () => {
    const attempt = () => tree().child('conv_out').weight('weight', [4, 3, 3, 8]);
    expect(attempt).toThrow(FileFormatError);
    expect(attempt).toThrow(
      "[unet] tensor 'conv_out.weight': expected [4, 8, 3, 3], got no such key (in unet/model.safetensors)",
    );
  });

  it('names expected and got for a wrong shape, in the order of the file', () => {
    expect(() => tree().child('conv_in').weight('weight', [8, 3, 3, 4])).toThrow(
      "[unet] tensor 'conv_in.weight': shape: expected [8, 4, 3, 3], got [8, 4, 3, 5] (in unet/model.safetensors)",
    );
  });

  it('refuses a type that is no float', () => {
    expect(() => tree().weight('ids', [1, 77])).toThrow(
      "[unet] tensor 'ids': type: expected F32, F16 or BF16, got I64",
    );
  });

  it('accounts for every key', () => {
    const t = tree();
    t.child('conv_in').weight('weight', [8, 3, 5, 4]);
    t.child('norm').weight('weight', [8]);
    t.child('conv_in').markUsed('bias');
    expect(t.unusedKeys()).toEqual(['blocks.0.to_out.0.weight', 'ids']);
    expect(t.usedElements()).toBe(8 * 4 * 3 * 5 + 8 + 8);
    expect(() => t.expectAllUsed()).toThrow(
      "[unet] expected only the model's keys, got outside it: 'blocks.0.to_out.0.weight', 'ids' (in unet/model.safetensors)",
    );
    t.markUsed('ids');
    t.child('blocks.0.to_out.0').weight('weight', [6, 8]);
    expect(() => t.expectAllUsed()).not.toThrow();
  });

  it('takes trained tensors from the hook, others frozen', () => {
    const graph = createGraph();
    const t = paramTree(graph, 'unet', tensors, {
      trained: (key, shape) => (key === 'norm.weight' ? state(graph, 'params', 32, shape, key) : null),
    });
    expect(t.child('norm').weight('weight', [8]).leaf).toEqual({ kind: 'state', buffer: 'params', offset: 32 });
    expect(t.child('conv_in').weight('bias', [8]).leaf?.kind).toBe('weight');
    expect(t.unusedKeys()).not.toContain('norm.weight');
  });
});
