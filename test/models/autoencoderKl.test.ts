import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { openModelFolder } from '../../lib/io/modelFolder.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode, latentDistribution } from '../../lib/models/autoencoderKl.js';
import { paramTree } from '../../lib/params/paramTree.js';

const { vae } = openModelFolder(fileURLToPath(new URL('../fixtures/tiny-sd15', import.meta.url)));
const config = readAutoencoderConfig(vae.config);

// The numbers are compared in test/end-to-end/autoencoderKl.test.ts, which takes seconds.
describe('autoencoderKl', () => {
  it('halves the sides three times on the way in and doubles them on the way out', () => {
    const graph = createGraph();
    const tree = paramTree(graph, 'vae', vae.tensors);
    expect(autoencoderKlEncode(tree, config, input(graph, 'image', [2, 64, 40, 3])).shape).toEqual([2, 8, 5, 8]);
    expect(autoencoderKlDecode(tree, config, input(graph, 'latents', [2, 8, 5, 4])).shape).toEqual([2, 64, 40, 3]);
    expect(config.downscale).toBe(8);
    tree.expectAllUsed();
  });

  it('pads one row below and one column to the right before each halving', () => {
    const graph = createGraph();
    autoencoderKlEncode(paramTree(graph, 'vae', vae.tensors), config, input(graph, 'image', [1, 64, 64, 3]));
    const halving = graph.nodes.filter((node) => node.attrs.stride === 2);
    expect(halving).toHaveLength(3);
    for (const node of halving) {
      expect(node.attrs).toMatchObject({ padTop: 0, padLeft: 0, padBottom: 1, padRight: 1 });
      expect(node.path).toMatch(/^encoder\.down_blocks\.[012]\.downsamplers\.0\.conv$/);
    }
  });

  it('leaves out what the config switches off', () => {
    const graph = createGraph();
    const tree = paramTree(graph, 'vae', vae.tensors);
    const bare = { ...config, useQuantConv: false, usePostQuantConv: false, midBlockAddAttention: false };
    autoencoderKlEncode(tree, bare, input(graph, 'image', [1, 16, 16, 3]));
    autoencoderKlDecode(tree, bare, input(graph, 'latents', [1, 2, 2, 4]));
    expect(
      new Set(
        tree.unusedKeys().map((key) => key.replace(/\.(weight|bias)$/, '').replace(/^.*attentions/, 'attentions')),
      ),
    ).toEqual(
      new Set([
        'attentions.0.group_norm',
        'attentions.0.to_k',
        'attentions.0.to_out.0',
        'attentions.0.to_q',
        'attentions.0.to_v',
        'post_quant_conv',
        'quant_conv',
      ]),
    );
  });

  it('splits moments into mean and clamped log variance', () => {
    const moments = Float32Array.from([1, 2, -31, 4, 5, 6, 7, 21]);
    expect(latentDistribution(moments, 2)).toEqual({
      mean: Float32Array.from([1, 2, 5, 6]),
      logvar: Float32Array.from([-30, 4, 7, 20]),
    });
  });
});
