// One piece of work for several contenders: as a graph of ours, as a request to a library, as one to PyTorch.
import { createGraph, type Graph, input, result, type Value, weight } from '../../lib/graph/graph.js';
import { attention } from '../../lib/ops/attention.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { groupNorm } from '../../lib/ops/groupNorm.js';
import { layerNorm } from '../../lib/ops/layerNorm.js';
import { linear } from '../../lib/ops/linear.js';
import { lowRank } from '../../lib/ops/lowRank.js';

export const GROUPS = ['gemm', 'conv', 'attention', 'lowRank', 'norms'] as const;
export type Group = (typeof GROUPS)[number];

export type Direction = 'forward' | 'backward';

export interface Trial {
  readonly group: Group;
  readonly name: string;
  /** Multiply-adds counted as two, of the plain algorithm: minimal filtering that needs fewer gets no discount. 0 where bytes bound. */
  readonly flops: number;
  readonly graph: Graph;
  /** What OpenBLAS or oneDNN is asked for (bench/against/libraries). */
  readonly library?: { readonly name: 'openblas' | 'onednn'; readonly request: string };
  /** What PyTorch is asked for (bench/against/pytorch/ops.py). */
  readonly torch?: Readonly<Record<string, string | number>>;
  /** Side of the square picture of a 3x3 convolution of stride 1. */
  readonly side?: number;
}

/** Gradients of a value's op with the given forward results read from inputs, so that the forward op does not run. */
function gradients(y: Value, kept: readonly string[], needs: readonly boolean[]): void {
  const { graph, node } = y;
  const outputs = node!.outputs.map((v, i) => (v && kept[i] ? input(graph, kept[i], v.shape) : v));
  const dy = input(graph, 'dy', y.shape);
  const channels = node!.inputs.map((v) => v?.shape.at(-1) ?? 0);
  const made = node!.op.vjp!({ ...node!, outputs }, [dy], needs, channels);
  made.forEach((value, i) => {
    if (value && value !== dy) result(graph, `d${i}`, value);
  });
}

function flopsOf(graph: Graph): number {
  const last = graph.nodes.at(-1)!;
  return last.op.flops?.(last) ?? 0;
}

export interface LinearTrial {
  readonly label: string;
  readonly rows: number;
  readonly from: number;
  readonly to: number;
  /** y and dx of a frozen float16 weight; y, dx and dw of a trained float32 one. */
  readonly wanted: 'y' | 'dx' | 'dw';
  readonly trained?: boolean;
}

/** A product of a linear layer. OpenBLAS gets its float32 operands as they would lie there. */
export function linearTrial({ label, rows, from, to, wanted, trained = false }: LinearTrial): Trial {
  const graph = createGraph();
  const x = input(graph, 'x', [rows, from]);
  const w = trained ? input(graph, 'w', [to, from]) : weight(graph, 'w', [to, from], 'f16');
  const y = linear(x, w, null);
  if (wanted === 'y') result(graph, 'y', y);
  else gradients(y, [], [wanted === 'dx', wanted === 'dw', false]);
  const sizes = { y: [0, 1, rows, to, from], dx: [0, 0, rows, from, to], dw: [1, 0, to, from, rows] }[wanted];
  const name = `${label} ${rows}x${to}x${from} ${wanted}`;
  const library = { name: 'openblas', request: `product ${sizes.join(' ')}` } as const;
  return { group: 'gemm', name, flops: flopsOf(graph), graph, library };
}

export interface ConvTrial {
  /** Of the output. */
  readonly side: number;
  readonly from: number;
  readonly to: number;
  readonly window: 1 | 3;
  readonly stride: 1 | 2;
  readonly direction: Direction;
}

export function convTrial({ side, from, to, window, stride, direction }: ConvTrial): Trial {
  const graph = createGraph();
  const [height, pad] = [side * stride, window >> 1];
  const x = input(graph, 'x', [1, height, height, from]);
  const y = conv2d(x, weight(graph, 'w', [to, window, window, from], 'f16'), null, { stride, pad });
  if (direction === 'forward') result(graph, 'y', y);
  else gradients(y, [], [true, false, false]);
  const sizes = [1, height, height, from, to, window, stride, pad];
  const how = `${window}x${window}${stride === 1 ? '' : ` stride ${stride}`}`;
  return {
    group: 'conv',
    name: `${side}x${side} ${from} to ${to}, ${how} ${direction === 'forward' ? 'y' : 'dx'}`,
    flops: flopsOf(graph),
    graph,
    library: { name: 'onednn', request: `conv ${direction === 'forward' ? 'forward' : 'data'} ${sizes.join(' ')}` },
    torch: { op: 'conv', direction, side: height, from, to, window, stride, pad },
    ...(window === 3 && stride === 1 ? { side } : {}),
  };
}

export interface AttentionTrial {
  readonly tokens: number;
  readonly keys: number;
  readonly heads: number;
  readonly channels: number;
  readonly direction: Direction;
}

export function attentionTrial({ tokens, keys, heads, channels, direction }: AttentionTrial): Trial {
  const graph = createGraph();
  const q = input(graph, 'q', [1, tokens, channels]);
  const k = input(graph, 'k', [1, keys, channels]);
  const o = attention(q, k, input(graph, 'v', [1, keys, channels]), { heads });
  if (direction === 'forward') result(graph, 'o', o);
  else gradients(o, ['o', 'lse'], [true, true, true]);
  const name = `${tokens} to ${keys} keys, ${heads} heads of ${channels / heads}, ${direction}`;
  const torch = { op: 'attention', direction, tokens, keys, heads, channels };
  return { group: 'attention', name, flops: flopsOf(graph), graph, torch };
}

export interface LowRankTrial {
  readonly tokens: number;
  readonly from: number;
  readonly to: number;
  readonly rank: number;
  readonly active: number;
  readonly direction: Direction;
}

/** The orthogonal adapter's branch. Its rank is an input, `active`; PyTorch masks, as the reference does. */
export function lowRankTrial({ tokens, from, to, rank, active, direction }: LowRankTrial): Trial {
  const graph = createGraph();
  const x = input(graph, 'x', [1, tokens, from]);
  const factor = (name: string, shape: readonly number[]): Value => input(graph, name, shape);
  const y = lowRank(
    input(graph, 'base', [1, tokens, to]),
    x,
    {
      up: factor('up', [to, rank]),
      down: factor('down', [rank, from]),
      lambda: factor('lambda', [rank]),
      up0: factor('up0', [to, rank]),
      down0: factor('down0', [rank, from]),
      lambda0: factor('lambda0', [rank]),
    },
    input(graph, 'activeRank', [1], 'i32'),
  );
  if (direction === 'forward') result(graph, 'y', y);
  else gradients(y, [], [false, true, true, true, true, false, false, false, false]);
  const name = `${tokens}, ${from} to ${to}, ${active} of ${rank}, ${direction}`;
  const torch = { op: 'lowRank', direction, tokens, from, to, rank, active };
  return { group: 'lowRank', name, flops: (flopsOf(graph) * active) / rank, graph, torch };
}

export interface NormTrial {
  readonly kind: 'group' | 'layer';
  readonly rows: number;
  readonly channels: number;
  readonly direction: Direction;
}

/** Group norm of 32 groups with SiLU, or layer norm; backward for dx only, as frozen ones need. */
export function normTrial({ kind, rows, channels, direction }: NormTrial): Trial {
  const graph = createGraph();
  const side = Math.sqrt(rows);
  const x = input(graph, 'x', kind === 'group' ? [1, side, side, channels] : [1, rows, channels]);
  const [w, b] = [weight(graph, 'w', [channels], 'f32'), weight(graph, 'b', [channels], 'f32')];
  const y =
    kind === 'group' ? groupNorm(x, w, b, { groups: 32, eps: 1e-5, silu: true }) : layerNorm(x, w, b, { eps: 1e-5 });
  if (direction === 'forward') result(graph, 'y', y);
  else gradients(y, ['', 'mean', 'rstd'], [true, false, false]);
  const name = `${kind} norm ${rows} x ${channels}, ${direction}`;
  return { group: 'norms', name, flops: 0, graph, torch: { op: 'norm', direction, kind, rows, channels } };
}
