// Memory that lets cuDNN compute the gradients of large attentions: where it is deterministic, dS lies in memory, and one sample's may be more
// than the workspace of a device (native/cuda/attentionGraphs.h). Without it our own kernels compute them.
import type { Graph, Node } from '../graph/graph.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { liveNodes } from '../plan/lifetimes.js';

/** native/cuda/libraries.h: what the workspace has for the libraries. */
const IN_WORKSPACE = 48 * 2 ** 20;
/** Above this fewer heads at once do as well. */
const MOST = 640 * 2 ** 20;
/** Tokens are rounded up to so many, and a little is kept beside dS: native/cuda/attentionGraphs.cpp. */
const TILE = 128;
const REST = 4096;
/** Tiles of keys that keep a device busy; heads that have fewer together are left to our own kernels. */
const KEYS = 64;
const BUSY = 128;

interface Sizes {
  readonly heads: number;
  readonly tq: number;
  readonly tk: number;
}

/** Of a gradient that cuDNN may cover: 16 bits, no mask, heads of a multiple of 8 up to 128 wide. */
function sizesOf({ op, inputs, attrs }: Node): Sizes | undefined {
  const both = { attentionVjp: [0, 1, 3], crossAttentionVjp: [0, 1, 2], selfAttentionVjp: [1, 1, 1] }[op.name];
  if (!both || attrs.causal) return undefined;
  const [q, k, o] = both.map((i) => inputs[i]!);
  const heads = attrs.heads!;
  const width = o!.shape[2]! / heads;
  if (o!.dtype === 'f32' || width % 8 !== 0 || width > 128) return undefined;
  return { heads, tq: q!.shape[1]!, tk: k!.shape[1]! };
}

const rounded = (tokens: number): number => Math.ceil(tokens / TILE) * TILE;

/** dS of as many heads of one sample as are worth it; 0: it has room in the workspace, or is too large. */
function bytesOf({ heads, tq, tk }: Sizes): number {
  const bytes = (some: number): number => some * rounded(tq) * rounded(tk) * 2 + REST;
  if (bytes(heads) <= IN_WORKSPACE) return 0;
  for (let some = heads; some * Math.ceil(tk / KEYS) >= BUSY; some--) {
    if (heads % some === 0 && bytes(some) <= MOST) return bytes(some) <= IN_WORKSPACE ? 0 : bytes(some);
  }
  return 0;
}

/** What the gradients of a graph's attentions are worth, in bytes; 0: the workspace has room for them all. */
export function attentionMemory(graph: Graph): number {
  const sizes = liveNodes(graph).flatMap((node) => sizesOf(node) ?? []);
  return Math.max(0, ...sizes.map(bytesOf));
}

/** A device whose engine takes so much more for attention. */
export function withAttentionMemory(device: ComputeDevice, attentionBytes: number): ComputeDevice {
  const { target } = device;
  return typeof target === 'number' ? device : { ...device, target: { ...target, attentionBytes } };
}

/** All of it or nothing, as there is room once the run has what it needs: nothing is recomputed for it. */
export function attentionShare(
  wanted: number,
  { needed, free, memory }: { needed: number; free: number; memory: number | undefined },
): number {
  return wanted <= Math.min(free, memory ?? Number.POSITIVE_INFINITY) - needed ? wanted : 0;
}
