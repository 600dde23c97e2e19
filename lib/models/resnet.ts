// diffusers models/resnet.py
import type { Value } from '../graph/graph.js';
import { addPerSample } from '../ops/addPerSample.js';
import type { ParamNode } from '../params/paramTree.js';
import { convLayer, groupNormSilu, inside, linearLayer, module, residual } from './layers.js';

export interface ResnetBlock2DOptions {
  out: number;
  groups: number;
  eps: number;
}

/**
 * ResnetBlock2D with the default time embedding: conv2(silu(norm2(conv1(silu(norm1 x)) + time_emb_proj(silu emb)))) + shortcut x.
 * @param x [n, h, w, c]
 * @param siluEmb silu of the time embedding [n, e], or null for a block without one (VAE)
 * @returns [n, h, w, out]
 */
export function resnetBlock2D(p: ParamNode, x: Value, siluEmb: Value | null, options: ResnetBlock2DOptions): Value {
  const { out } = options;
  const watched = (name: string, y: Value): void => p.hooks.onOutput?.(`${p.path}.${name}`, y);
  return module(p, () => {
    const h1 = groupNormSilu(p.child('norm1'), x, options);
    let h = convLayer(p.child('conv1'), h1, { out });
    if (siluEmb) {
      const t = linearLayer(p.child('time_emb_proj'), siluEmb, { out });
      h = inside(p, () => addPerSample(h, t));
    }
    const h2 = groupNormSilu(p.child('norm2'), h, options);
    for (const name of ['nonlinearity', 'dropout']) watched(name, h2);
    h = convLayer(p.child('conv2'), h2, { out });
    const shortcut = x.shape.at(-1) === out ? x : convLayer(p.child('conv_shortcut'), x, { out, kernel: 1 });
    return residual(p, shortcut, h);
  });
}
