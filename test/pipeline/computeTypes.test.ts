// What CUDA's graphs are made of: activations and matrices in the compute type, the rest in float32.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { predictionGraph } from '../../lib/generate/denoiser.js';
import {
  addNode,
  byteLength,
  createGraph,
  type Graph,
  input,
  type Node,
  type Op,
  type Value,
} from '../../lib/graph/graph.js';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { readClipTextConfig } from '../../lib/models/clipTextConfig.js';
import { decodeGraph, encodeGraph } from '../../lib/pipeline/pictures.js';
import { decodingType } from '../../lib/pipeline/precision.js';
import { textEncoderGraph } from '../../lib/pipeline/textStates.js';
import { crossAttentionGraph } from '../../lib/pipeline/unetGraph.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { memoryForecast } from '../../lib/plan/memoryBudget.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { adaptersOf } from '../../lib/train/forecast.js';
import { stepGraph } from '../../lib/train/stepGraph.js';
import { blockOf, recomputeCandidates, remat } from '../../lib/transform/remat.js';

const model = openModelFolder(fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url)));
const { layout } = setupAdapters(model.unet, { variant: 'tlora', rank: 4 });

const STORED: Readonly<Record<string, string>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

const weights = (graph: Graph): Value[] => [...graph.leaves.values()].filter(({ leaf }) => leaf?.kind === 'weight');

/** Types of weights by their number of sizes. */
function weightTypes(graph: Graph): Record<string, string[]> {
  const types = (vectors: boolean): string[] => [
    ...new Set(weights(graph).flatMap((w) => ((w.shape.length === 1) === vectors ? [w.dtype] : []))),
  ];
  return { vectors: types(true), matrices: types(false) };
}

/** Types of what the ops of one name read and make first. */
function typesOf(graph: Graph, op: string): Set<string> {
  return new Set(
    graph.nodes.flatMap((node) => (node.op.name === op ? [node.outputs.find((v) => v !== null)!.dtype] : [])),
  );
}

const sizes = { batch: 2, height: 8, width: 8, contextTokens: 77 };

for (const compute of ['bf16', 'f16'] as const) {
  describe(`graphs in ${compute}`, () => {
    const step = stepGraph({
      unet: model.unet,
      sizes: { ...sizes, compute },
      adapters: adaptersOf(layout, false),
      draws: 'drawn',
      until: 'step',
      record: { growthInterval: 7, rows: 4, samples: 2 },
    });

    it('keep activations and matrices of the step in it', () => {
      expect(weightTypes(step).matrices).toEqual([compute]);
      for (const op of [
        'conv2d',
        'conv2dResidual',
        'linear',
        'linearResidual',
        'linearResidualVjp',
        'groupNorm',
        'silu',
        'selfAttention',
        'crossAttention',
        'lowRankFactors',
        'lowRankBranch',
        'geglu',
        'add',
        'linearVjp',
        'conv2dVjp',
      ])
        expect(typesOf(step, op), op).toEqual(new Set([compute]));
      expect(step.leaves.get('input:encoderHiddenStates')?.dtype).toBe(compute);
    });

    it('keep biases of products in it, and of vectors only these', () => {
      const dtypes = (op: string, which: number): Set<string | undefined> =>
        new Set(step.nodes.flatMap(({ op: { name }, inputs }) => (name === op ? [inputs[which]?.dtype] : [])));
      expect(dtypes('conv2d', 2)).toEqual(new Set([compute]));
      expect(dtypes('linear', 2)).toEqual(new Set([compute, undefined]));
      for (const op of ['conv2dResidual', 'linearResidual']) expect(dtypes(op, 2), op).toEqual(new Set([compute]));
      for (const norm of ['groupNorm', 'layerNorm'] as const) {
        expect([...dtypes(norm, 1), ...dtypes(norm, 2)], norm).toEqual(['f32', 'f32']);
      }
    });

    it('keep losses, draws, adapters and the optimizer in float32', () => {
      for (const op of [
        'mse',
        'mseVjp',
        'mixPerSample',
        'randomNormal',
        'gradNorm',
        'adamw',
        'recordStep',
        'accumulate',
      ])
        expect(typesOf(step, op), op).toEqual(new Set(['f32']));
      const named = (name: string): Node[] => step.nodes.filter(({ op }) => op.name === name);
      const gradients = named('lowRankBranchVjp');
      const blocks = new Set(layout.layers.map(({ path }) => blockOf(path))).size;
      expect(gradients.length).toBe(layout.layers.length - 3 * blocks); // q, k and v are one, and k and v of the text
      const masters = [
        ...gradients.flatMap(({ outputs }) => outputs.slice(1)),
        ...named('lowRankFactors').flatMap(({ inputs }) => inputs.slice(1)),
        ...named('lowRankFactorsVjp').flatMap(({ outputs }) => outputs.filter((value) => value !== null)),
      ];
      expect(masters.length).toBe(2 * gradients.length + (6 + 2) * layout.layers.length + 5 * blocks);
      expect(new Set(masters.map((v) => v?.dtype))).toEqual(new Set(['f32']));
    });

    it('form factors once a transformer block, and again where it is recomputed', () => {
      const blocks = new Set(layout.layers.map(({ path }) => blockOf(path)!));
      const again = remat(step, blocks);
      const count = (graph: Graph, name: string): number => graph.nodes.filter(({ op }) => op.name === name).length;
      for (const [name, times] of [
        ['lowRankFactors', 2],
        ['lowRankFactorsVjp', 1],
      ] as const) {
        expect(count(step, name)).toBe(blocks.size);
        expect(count(again, name)).toBe(times * blocks.size);
      }
      const target = { device: 'cuda', threads: 1, workspaceBytes: 0 } as const;
      const saved = recomputeCandidates(step).filter(({ block }) => blocks.has(block));
      const factors = step.nodes.flatMap(({ op, outputs }) => (op.name === 'lowRankFactors' ? outputs : []));
      const bytes = (values: readonly (Value | null)[]): number =>
        values.reduce((sum, v) => sum + (v ? byteLength(v) : 0), 0);
      expect(saved.reduce((sum, { savedBytes }) => sum + savedBytes, 0)).toBeGreaterThan(bytes(factors));
      expect(makePlan(again, target).arenaBytes).toBeLessThan(makePlan(step, target).arenaBytes);
    });

    it('have the same types in sampling, text encoders and cross-attention', () => {
      const config = readClipTextConfig(model.textEncoder.config, 'text_encoder');
      const all = [
        predictionGraph(model.unet, { ...sizes, compute }),
        textEncoderGraph(model.textEncoder, config, 2, ['last'], compute),
        crossAttentionGraph(model.unet, 2, 77, compute),
      ];
      for (const graph of all) {
        const { matrices } = weightTypes(graph);
        expect(matrices).toEqual([compute]);
        expect([...graph.results.values()].map(({ dtype }) => dtype)).toEqual(Array(graph.results.size).fill(compute));
      }
    });
  });
}

describe('the autoencoder', () => {
  it('decodes in float32 in the place of float16, unless its config allows it', () => {
    expect(decodingType('f16', { forceUpcast: true })).toBe('f32');
    expect(decodingType('f16', { forceUpcast: false })).toBe('f16');
    expect(decodingType('bf16', { forceUpcast: true })).toBe('bf16');
    expect(decodingType(undefined, { forceUpcast: true })).toBeUndefined();
    const decoder = (force_upcast: boolean): Graph =>
      decodeGraph({ ...model.vae, config: { ...(model.vae.config as object), force_upcast } }, 8, 8, 'f16');
    expect(weightTypes(decoder(true)).matrices).toEqual(['f32']);
    expect(weightTypes(decoder(false)).matrices).toEqual(['f16']);
  });

  it('encodes float32 pictures with widened weights', () => {
    expect(weightTypes(encodeGraph(model.vae, 64, 64, 'f32')).matrices).toEqual(['f32']);
  });
});

describe('a graph of the CPU', () => {
  it('keeps weights in their stored type, and has no conversions', () => {
    const graph = predictionGraph(model.unet, sizes);
    const stored = new Set([...model.unet.tensors.values()].map(({ dtype }) => STORED[dtype]));
    expect(new Set(weightTypes(graph).matrices)).toEqual(stored);
    expect(typesOf(graph, 'cast').size).toBe(0);
  });
});

describe('a plan for CUDA', () => {
  const target = { device: 'cuda' as const, threads: 3, workspaceBytes: 5 };

  it('counts row-major matrices, each from a multiple of 256 bytes on, and the workspace of the device', () => {
    const graph = predictionGraph(model.unet, { ...sizes, compute: 'bf16' });
    const plan = makePlan(graph, target);
    const bytes = weights(graph).map((w) => 256 * Math.ceil(byteLength(w) / 256));
    const { weightBytes, workspaceBytes } = memoryForecast(plan);
    expect(weightBytes).toBe(bytes.reduce((a, b) => a + b));
    expect(workspaceBytes).toBe(5);
    expect(plan.threads).toBe(3);
  });

  it('has the scratch memory of the CUDA kernels, or that of the CPU with one thread', () => {
    const graph = createGraph();
    const op = (more: Partial<Op>): Op => ({ name: 'add', attrs: [], effect: true, ...more });
    const x = input(graph, 'x', [1]);
    const cpu = (_node: Node, threads: number): number => 640 * threads;
    for (const one of [op({ scratchBytes: cpu }), op({ scratchBytes: cpu, cudaScratchBytes: () => 64 }), op({})])
      addNode(graph, one, [x], []);
    expect(makePlan(graph, target).calls.map(({ scratchBytes }) => scratchBytes)).toEqual([640, 64, 0]);
    expect(makePlan(graph, 2).calls.map(({ scratchBytes }) => scratchBytes)).toEqual([1280, 1280, 0]);
  });
});
