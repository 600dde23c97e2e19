// diffusers models/transformers/transformer_2d.py
import type { Value } from '../graph/graph.js';
import { reshape } from '../ops/reshape.js';
import type { ParamNode } from '../params/paramTree.js';
import { basicTransformerBlock } from './attention.js';
import { addedTo, convLayer, groupNormLayer, inside, linearLayer, module } from './layers.js';

export interface Transformer2DOptions {
  heads: number;
  /** Number of transformer blocks. */
  transformerLayers: number;
  groups: number;
}

/**
 * Transformer2DModel: norm, proj_in, blocks over the picture's positions as tokens, proj_out, plus the input. proj_in and
 * proj_out are linear layers or 1×1 convolutions, as the checkpoint has them: the same sums.
 * @param x [n, h, w, c]
 * @param context text states [n, s, e]
 */
export function transformer2D(p: ParamNode, x: Value, context: Value, options: Transformer2DOptions): Value {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const toRows = (y: Value): Value => inside(p, () => reshape(y, [n, h * w, c]));
  const toPicture = (y: Value): Value => inside(p, () => reshape(y, [n, h, w, c]));
  return module(p, () => {
    const projIn = p.child('proj_in');
    const normed = groupNormLayer(p.child('norm'), x, { groups: options.groups, eps: 1e-6 });
    let rows = isConvolution(projIn)
      ? toRows(convLayer(projIn, normed, { out: c, kernel: 1 }))
      : linearLayer(projIn, toRows(normed), { out: c });
    for (let i = 0; i < options.transformerLayers; i++) {
      rows = basicTransformerBlock(p.child('transformer_blocks').child(i), rows, context, options.heads);
    }
    const projOut = p.child('proj_out');
    return addedTo(p, x, (skip) =>
      isConvolution(projOut)
        ? convLayer(projOut, toPicture(rows), { out: c, kernel: 1, residual: skip })
        : toPicture(linearLayer(projOut, rows, { out: c, residual: skip && toRows(skip) })),
    );
  });
}

function isConvolution(p: ParamNode): boolean {
  return p.fileShape('weight')?.length === 4;
}
