import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';

/** y = x̂ · w + b, x̂ = (x − mean) · rstd over the last axis. x [..., c], w and b [c] or absent; mean and rstd [...] f32 are kept. */
export const layerNormOp: Op = {
  name: 'layerNorm',
  attrs: ['eps'],
  overwrites: [0],
  addsTo: 0,
  vjp: (node, [dy], needs, _wanted, through) => layerNormVjp(node, { dy: dy!, through: through ?? null }, needs),
};

/**
 * With g = dy · w: dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)), added to `through` if that is given; dw = Σ dy · x̂; db = Σ dy over
 * rows, both f32. Inputs: x, w, mean, rstd, dy, through.
 */
export const layerNormVjpOp: Op = {
  name: 'layerNormVjp',
  attrs: [],
  overwrites: [0, 4, 5],
  scratchBytes: (node) => (node.outputs[1] || node.outputs[2] ? channelSumBytes(node.inputs[0]!) : 0),
};

/** Two float32 sums per channel and block of rows; blocks as in native/cpu/layerNorm.cpp: 64 KiB of x, from 8 to 256 rows. */
function channelSumBytes(x: Value): number {
  const c = x.shape.at(-1)!;
  const blockRows = Math.min(256, Math.max(8, Math.floor(16384 / c)));
  return 2 * 4 * c * Math.ceil(elements(x.shape) / c / blockRows);
}

export function layerNorm(x: Value, w: Value | null, b: Value | null, { eps }: { eps: number }): Value {
  expectThat(x.shape.length >= 2, 'layerNorm', 'dimensions of x', '2 or more', `[${x.shape}]`, x);
  const c = x.shape.at(-1)!;
  if (w) expectShape('layerNorm', 'w', w, [c]);
  if (b) expectShape('layerNorm', 'b', b, [c]);
  const kept = x.shape.slice(0, -1);
  const outputs = [
    { name: 'y', shape: x.shape, dtype: x.dtype },
    { name: 'mean', shape: kept, dtype: 'f32' as const },
    { name: 'rstd', shape: kept, dtype: 'f32' as const },
  ];
  return addNode(x.graph, layerNormOp, [x, w, b], outputs, { eps }).outputs[0]!;
}

function layerNormVjp(
  node: Node,
  { dy, through }: { dy: Value; through: Value | null },
  [needX, needW, needB]: readonly boolean[],
): (Value | null)[] {
  const [x, w] = node.inputs;
  const [, mean, rstd] = node.outputs;
  const c = x!.shape.at(-1)!;
  const made = addNode(
    dy.graph,
    layerNormVjpOp,
    [x!, w ?? null, mean!, rstd!, dy, through],
    [
      needX ? { name: 'dx', shape: x!.shape, dtype: dy.dtype } : null,
      needW ? { name: 'dw', shape: [c], dtype: 'f32' } : null,
      needB ? { name: 'db', shape: [c], dtype: 'f32' } : null,
    ],
  );
  return [...made.outputs];
}
