// diffusers models/embeddings.py
import type { Value } from '../graph/graph.js';
import { silu } from '../ops/silu.js';
import type { ParamNode } from '../params/paramTree.js';
import { inside, linearLayer, module } from './layers.js';

/** TimestepEmbedding: linear_2(silu(linear_1 x)), x [n, in] → [n, out]. */
export function timestepEmbedding(p: ParamNode, x: Value, out: number): Value {
  return module(p, () => {
    const h = linearLayer(p.child('linear_1'), x, { out });
    return linearLayer(
      p.child('linear_2'),
      inside(p, () => silu(h)),
      { out },
    );
  });
}
