// The layers that checkpoints name, as functions over a parameter node. Each tells the node's hooks about its output.
import { at, type Value } from '../graph/graph.js';
import { add } from '../ops/add.js';
import { conv2d } from '../ops/conv2d.js';
import { conv2dResidual } from '../ops/conv2dResidual.js';
import { groupNorm } from '../ops/groupNorm.js';
import { layerNorm } from '../ops/layerNorm.js';
import { linear } from '../ops/linear.js';
import { linearResidual } from '../ops/linearResidual.js';
import { slice } from '../ops/slice.js';
import type { ParamNode } from '../params/paramTree.js';

/** Runs `body` with the module's path as provenance. */
export function inside<T>(p: ParamNode, body: () => T): T {
  return at(p.graph, p.path, p.graph.phase, body);
}

/** A module: `body` under its path, its output reported. */
export function module(p: ParamNode, body: () => Value): Value {
  const y = inside(p, body);
  p.hooks.onOutput?.(p.path, y);
  return y;
}

export interface LinearLayer {
  /** Features of the output. */
  out: number;
  /** Default true. */
  bias?: boolean;
  /** [..., out]: what the product adds, where `addsWithin`; the layer's output is the sum then. Default none. */
  residual?: Value | null;
}

/** Of a product: in the type in which libraries add it. */
export function bias(p: ParamNode, out: number): Value {
  return p.weight('bias', [out], 'compute');
}

/** nn.Linear, x [..., in] → [..., out]: the frozen product (or its cached value), then the adapter that the hooks give. */
export function linearLayer(p: ParamNode, x: Value, options: LinearLayer): Value {
  return module(p, () => {
    const base = cachedProduct(p, options) ?? product(p, x, options);
    return p.hooks.adapter?.(p.path, x, base) ?? base;
  });
}

function product(p: ParamNode, x: Value, { out, bias: biased = true, residual: added }: LinearLayer): Value {
  const w = p.weight('weight', [out, x.shape.at(-1)!]);
  const b = biased ? bias(p, out) : null;
  return added ? linearResidual(x, w, b, added) : linear(x, w, b);
}

function cachedProduct(p: ParamNode, { bias: biased = true, residual: added }: LinearLayer): Value | null {
  const base = p.hooks.cachedBase?.(p.path) ?? null;
  if (!base) return null;
  p.markUsed('weight');
  if (biased) p.markUsed('bias');
  return added ? add(base, added) : base;
}

/**
 * Several nn.Linear of one module that read the same x, as one product with one branch: their outputs side by side, [..., layers · out].
 * null: they have to be separate. They are on the CPU, which gains nothing, where they are trained or differ, or adapters do, and in graphs
 * for any device.
 * @param names of the layers below `p`
 */
export function joinedLinearLayers(
  p: ParamNode,
  names: readonly string[],
  x: Value,
  { out, bias: biased = true }: LinearLayer,
): Value | null {
  const { compute, anyDevice, trained, cachedBase, cachedJoinedBase, adapter, joinedAdapter, onOutput } = p.hooks;
  const paths = names.map((name) => p.child(name).path);
  const tensors = biased ? ['weight', 'bias'] : ['weight'];
  if (!compute || anyDevice || trained || !tensors.every((name) => p.alike(names, name))) return null;
  const adapt = adapter ? (joinedAdapter?.(paths) ?? null) : (_x: Value, base: Value): Value => base;
  if (!adapt) return null;
  const cached = cachedJoinedBase?.(paths) ?? null;
  if (!cached && paths.some((path) => cachedBase?.(path))) return null;
  if (cached) for (const name of names) for (const tensor of tensors) p.markUsed(`${name}.${tensor}`);
  const product = (): Value => {
    const w = p.joinedWeight(names, 'weight', [out, x.shape.at(-1)!]);
    return linear(x, w, biased ? p.joinedWeight(names, 'bias', [out], 'compute') : null);
  };
  return inside(p, () => {
    const y = adapt(x, cached ?? product());
    if (onOutput)
      for (const [i, path] of paths.entries()) onOutput(path, slice(y, { start: i * out, end: (i + 1) * out }));
    return y;
  });
}

export interface ConvLayer {
  out: number;
  /** Side of the kernel, default 3. */
  kernel?: number;
  stride?: number;
  /** Default: same size at stride 1. */
  pad?: number | [top: number, left: number, bottom: number, right: number];
  /** [out]: in place of the layer's own. */
  bias?: Value;
  /** Of the output's shape: what the convolution adds, where `addsWithin`; the layer's output is the sum then. Default none. */
  residual?: Value | null;
}

/** nn.Conv2d with bias, x [n, h, w, c]; with a 1×1 kernel, then the adapter that the hooks give. */
export function convLayer(p: ParamNode, x: Value, options: ConvLayer): Value {
  const { out, kernel = 3, stride = 1, pad = (kernel - 1) >> 1, residual: added } = options;
  return module(p, () => {
    const w = p.weight('weight', [out, kernel, kernel, x.shape.at(-1)!]);
    const b = options.bias ?? bias(p, out);
    const y = added ? conv2dResidual(x, w, b, added, { stride, pad }) : conv2d(x, w, b, { stride, pad });
    return kernel === 1 ? (p.hooks.adapter?.(p.path, x, y) ?? y) : y;
  });
}

/** nn.GroupNorm. */
export function groupNormLayer(p: ParamNode, x: Value, options: { groups: number; eps: number }): Value {
  const c = x.shape.at(-1)!;
  return module(p, () => groupNorm(x, p.weight('weight', [c]), p.weight('bias', [c]), options));
}

/** nn.GroupNorm and SiLU in one op; the norm alone is traced beside it only for a hook that watches outputs. */
export function groupNormSilu(p: ParamNode, x: Value, options: { groups: number; eps: number }): Value {
  if (p.hooks.onOutput) groupNormLayer(p, x, options);
  const c = x.shape.at(-1)!;
  return inside(p, () => groupNorm(x, p.weight('weight', [c]), p.weight('bias', [c]), { ...options, silu: true }));
}

/** nn.LayerNorm over the last axis. */
export function layerNormLayer(p: ParamNode, x: Value, eps = 1e-5): Value {
  const c = x.shape.at(-1)!;
  return module(p, () => layerNorm(x, p.weight('weight', [c]), p.weight('bias', [c]), { eps }));
}

/** x + y under the module's path. */
export function residual(p: ParamNode, x: Value, y: Value): Value {
  return inside(p, () => add(x, y));
}

/**
 * Whether layers are to add residuals within their products: on a CUDA device, but not in graphs for any device, nor where a hook watches
 * outputs, which are those before the sum.
 */
export function addsWithin({ hooks: { compute, anyDevice, onOutput } }: ParamNode): boolean {
  return compute !== undefined && !anyDevice && !onOutput;
}

/** What `body` makes, plus x. Where `addsWithin`, the layer that ends `body` gets x as its `residual`, else null. */
export function addedTo(p: ParamNode, x: Value, body: (residual: Value | null) => Value): Value {
  return addsWithin(p) ? body(x) : residual(p, body(null), x);
}
