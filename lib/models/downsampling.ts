// diffusers models/downsampling.py
import type { Value } from '../graph/graph.js';
import type { ParamNode } from '../params/paramTree.js';
import { convLayer, module } from './layers.js';

/** Downsample2D: 3×3 convolution, stride 2. Padding 0 means one row below and one column to the right (VAE encoder). */
export function downsample2D(p: ParamNode, x: Value, padding: number): Value {
  const pad: number | [number, number, number, number] = padding === 0 ? [0, 0, 1, 1] : padding;
  return module(p, () => convLayer(p.child('conv'), x, { out: x.shape.at(-1)!, stride: 2, pad }));
}
