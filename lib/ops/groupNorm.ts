import { addNode, elements, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';
import { slice } from './slice.js';

export interface GroupNormOptions {
  /** Number of groups of neighbouring channels; divides c. */
  groups: number;
  eps: number;
  /** Applies SiLU to the result in the same pass (default false). */
  silu?: boolean;
}

/**
 * y = act(x̂ · w + b), x̂ = (x − mean) · rstd over the positions and channels of one group of one sample, rstd = 1/√(var + eps),
 * act SiLU or nothing. x [n, ..., c], w and b [c]; mean and rstd [n, groups] f32 are kept for the gradient.
 */
export const groupNormOp: Op = {
  name: 'groupNorm',
  attrs: ['groups', 'eps', 'silu'],
  overwrites: [0],
  addsTo: 0,
  scratchBytes: (node) => momentBytes(node.inputs[0]!, node.attrs.groups!),
  vjp: (node, [dy], needs, _wanted, through) => groupNormVjp(node, { dy: dy!, through: through ?? null }, needs),
  leading: ({ inputs, attrs }, [x, w, b]) => {
    const c = inputs[0]!.shape.at(-1)!;
    const width = c / attrs.groups!;
    return w === 0 && b === 0 ? Math.ceil(x! / width) * width : c;
  },
};

/**
 * Gradients of groupNorm, dx added to `through` if that is given; x̂ and the activation are computed again from x, mean and rstd. dw and db
 * are f32. Inputs: x, w, b, mean, rstd, dy, through. dx may not lie over through, which is read after it has begun to be written.
 */
export const groupNormVjpOp: Op = {
  name: 'groupNormVjp',
  attrs: ['groups', 'eps', 'silu'],
  overwrites: [5, 0], // dy first: over x, the exponentials of SiLU would be computed twice
  scratchBytes: (node) => {
    const x = node.inputs[0]!;
    const channelSums = 2 * 4 * x.shape[0]! * chunks(x) * x.shape.at(-1)!;
    return momentBytes(x, node.attrs.groups!) + (node.outputs[1] || node.outputs[2] ? channelSums : 0);
  },
};

/** Positions are cut into chunks of this many rows, as in native/cpu/groupNorm.cpp: 64 KiB of x, from 8 to 256 rows. */
function chunks(x: Value): number {
  const channels = x.shape.at(-1)!;
  const rows = Math.min(256, Math.max(8, Math.floor(16384 / channels)));
  return Math.ceil(elements(x.shape.slice(1, -1)) / rows);
}

/** Two float64 sums per sample, chunk and group, and two results per sample and group. */
function momentBytes(x: Value, groups: number): number {
  return 2 * 8 * x.shape[0]! * groups * (chunks(x) + 1);
}

export function groupNorm(x: Value, w: Value, b: Value, options: GroupNormOptions): Value {
  const { groups, eps, silu = false } = options;
  expectThat(x.shape.length >= 2, 'groupNorm', 'dimensions of x', '2 or more', `[${x.shape}]`, x);
  const c = x.shape.at(-1)!;
  expectThat(groups >= 1 && c % groups === 0, 'groupNorm', 'channels of x', `a multiple of ${groups}`, `${c}`, x);
  expectShape('groupNorm', 'w', w, [c]);
  expectShape('groupNorm', 'b', b, [c]);
  const kept = [x.shape[0]!, groups];
  const outputs = [
    { name: 'y', shape: x.shape, dtype: x.dtype },
    { name: 'mean', shape: kept, dtype: 'f32' as const },
    { name: 'rstd', shape: kept, dtype: 'f32' as const },
  ];
  return addNode(x.graph, groupNormOp, [x, w, b], outputs, { groups, eps, silu: silu ? 1 : 0 }).outputs[0]!;
}

function groupNormVjp(
  node: Node,
  { dy, through }: { dy: Value; through: Value | null },
  [needX, needW, needB]: readonly boolean[],
): (Value | null)[] {
  const { x, w, b, mean, rstd, groups } = operands(node, dy.shape.at(-1)!);
  const made = addNode(
    dy.graph,
    groupNormVjpOp,
    [x, w, b, mean, rstd, dy, through],
    [
      needX ? { name: 'dx', shape: x.shape, dtype: dy.dtype } : null,
      needW ? { name: 'dw', shape: w.shape, dtype: 'f32' } : null,
      needB ? { name: 'db', shape: b.shape, dtype: 'f32' } : null,
    ],
    { ...node.attrs, groups },
  );
  return [...made.outputs];
}

/** What the gradient reads of the first `channels` channels, which are whole groups. */
function operands(node: Node, channels: number) {
  const [x, w, b] = node.inputs as [Value, Value, Value];
  const [, mean, rstd] = node.outputs as [Value, Value, Value];
  const { groups } = node.attrs as { groups: number };
  const kept = (groups * channels) / x.shape.at(-1)!;
  if (kept === groups) return { x, w, b, mean, rstd, groups };
  const first = (value: Value, end: number): Value => slice(value, { start: 0, end });
  return {
    x: joinedFirst(x, channels) ?? first(x, channels),
    w: first(w, channels),
    b: first(b, channels),
    mean: first(mean, kept),
    rstd: first(rstd, kept),
    groups: kept,
  };
}

/** The first of the two values that x joins, if it has this many channels: it need not be cut out again. */
function joinedFirst({ node }: Value, channels: number): Value | null {
  const [a] = node?.op.name === 'concat' ? node.inputs : [];
  return a?.shape.at(-1) === channels ? a : null;
}
