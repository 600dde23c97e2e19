// diffusers models/resnet.py
import type { Value } from '../graph/graph.js';
import { addPerSample } from '../ops/addPerSample.js';
import { reshape } from '../ops/reshape.js';
import type { ParamNode } from '../params/paramTree.js';
import { addsWithin, bias, convLayer, groupNormSilu, inside, linearLayer, module, residual } from './layers.js';

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
    let h = siluEmb ? withTime(p, h1, siluEmb, out) : convLayer(p.child('conv1'), h1, { out });
    const h2 = groupNormSilu(p.child('norm2'), h, options);
    for (const name of ['nonlinearity', 'dropout']) watched(name, h2);
    const [isPlain, within] = [x.shape.at(-1) === out, addsWithin(p)];
    h = convLayer(p.child('conv2'), h2, { out, residual: within && isPlain ? x : null });
    if (within && isPlain) return h;
    const ofShortcut = { out, kernel: 1, residual: within ? h : null };
    const shortcut = isPlain ? x : convLayer(p.child('conv_shortcut'), x, ofShortcut);
    return within ? shortcut : residual(p, shortcut, h);
  });
}

/**
 * conv1 h + time_emb_proj e, the same at every position of a sample. Of one sample that is a bias, to which the projection adds conv1's
 * own, where layers add within their products.
 */
function withTime(p: ParamNode, h: Value, e: Value, out: number): Value {
  const [conv, projection] = [p.child('conv1'), p.child('time_emb_proj')];
  if (addsWithin(p) && h.shape[0] === 1) {
    const own = inside(conv, () => reshape(bias(conv, out), [1, out]));
    const t = linearLayer(projection, e, { out, residual: own });
    return convLayer(conv, h, { out, bias: inside(p, () => reshape(t, [out])) });
  }
  const y = convLayer(conv, h, { out });
  const t = linearLayer(projection, e, { out });
  return inside(p, () => addPerSample(y, t));
}
