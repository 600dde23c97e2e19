import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { adapterLayout } from '../../lib/adapters/adapterLayout.js';
import { predictionGraph } from '../../lib/generate/denoiser.js';
import type { Graph } from '../../lib/graph/graph.js';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { crossAttentionGraph } from '../../lib/pipeline/unetGraph.js';

const { unet } = openModelFolder(fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url)));
const sizes = { batch: 2, height: 8, width: 8, contextTokens: 77 };

/** Names and sizes of the cached products that a prediction reads. */
function read({ leaves }: Graph): string[] {
  const cached = [...leaves.values()].filter(({ name }) => name.startsWith('cached/'));
  return cached.map(({ name, shape, dtype }) => `${name} ${shape} ${dtype}`);
}

function made({ results }: Graph): string[] {
  return [...results].map(([name, { shape, dtype }]) => `${name} ${shape} ${dtype}`);
}

describe('cached products of cross-attention', () => {
  it.each([undefined, 'bf16'] as const)('are made as the UNet reads them, computing in %s', (compute) => {
    const products = made(crossAttentionGraph(unet, 2, 77, compute));
    expect(read(predictionGraph(unet, { ...sizes, compute })).sort()).toEqual(products.sort());
    expect(products).toHaveLength(compute ? 11 : 22);
    expect(products.every((name) => name.includes('.attn2.to_k+to_v') === (compute !== undefined))).toBe(true);
  });

  it('are read apart where only one of two layers has an adapter', () => {
    const path = 'mid_block.attentions.0.transformer_blocks.0.attn2.to_v';
    const [out, width] = unet.tensors.get(`${path}.weight`)!.shape as [number, number];
    const adapter = { layout: adapterLayout([{ path, in: width, out, rank: 2 }], true), strength: 1 };
    const graph = predictionGraph(unet, { ...sizes, compute: 'bf16', adapter });
    expect(read(graph).sort()).toEqual(made(crossAttentionGraph(unet, 2, 77, 'bf16')).sort());
    const halves = graph.nodes.filter(({ op }) => op.name === 'slice');
    expect(halves.map(({ attrs }) => [attrs.start, attrs.end])).toEqual([
      [0, out],
      [out, 2 * out],
    ]);
    const branch = graph.nodes.find(({ op }) => op.name === 'lowRankBranch')!;
    expect(branch.inputs[0]).toBe(halves[1]!.outputs[0]);
    expect(graph.nodes.filter(({ op }) => op.name === 'attention')).toHaveLength(1);
  });
});
