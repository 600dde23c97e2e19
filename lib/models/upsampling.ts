// diffusers models/upsampling.py
import type { Value } from '../graph/graph.js';
import { upsampleNearest } from '../ops/upsampleNearest.js';
import type { ParamNode } from '../params/paramTree.js';
import { convLayer, module } from './layers.js';

/**
 * Upsample2D: nearest neighbour, then a 3×3 convolution.
 * @param size of the result; default twice the input. A UNet gives its skip's size: sides need not divide by 2.
 */
export function upsample2D(p: ParamNode, x: Value, size?: { height: number; width: number }): Value {
  const [, h, w, out] = x.shape as [number, number, number, number];
  return module(p, () => {
    const larger = upsampleNearest(x, size ?? { height: 2 * h, width: 2 * w });
    return convLayer(p.child('conv'), larger, { out });
  });
}
