import { addNode, elements, type Node, type Op, type OutputSpec, type Value } from '../graph/graph.js';
import { expectRank, expectShape, expectSize, expectThat } from '../graph/shapes.js';

export interface Conv2dOptions {
  /** Step of the window in both directions (default 1). */
  stride?: number;
  /** Zeros around the picture: the same on all sides, or [top, left, bottom, right] (default 0). */
  pad?: number | readonly [number, number, number, number];
}

const WINDOW = ['stride', 'padTop', 'padLeft', 'padBottom', 'padRight'] as const;
type WindowAttrs = Record<(typeof WINDOW)[number], number>;

/**
 * y [n, oh, ow, o] = cross-correlation of x [n, h, w, c] with w [o, kh, kw, c], plus b [o] or nothing.
 * oh = floor((h + padTop + padBottom - kh) / stride) + 1, ow alike. Sums in float32.
 */
export const conv2dOp: Op = {
  name: 'conv2d',
  attrs: WINDOW,
  matrices: [1],
  flops: (node) => 2 * elements(node.outputs[0]!.shape) * patchLength(node.inputs[1]!),
  vjp: (node, [dy], [needX, needW, needB], [channels]) => conv2dVjp(node, dy!, [needX!, needW!, needB!], channels!),
};

/**
 * Gradients dx, dw, db of conv2d. x is absent unless dw is wanted; what is not wanted is null; height and width are x's. dx may have the
 * first channels only.
 */
export const conv2dVjpOp: Op = {
  name: 'conv2dVjp',
  attrs: [...WINDOW, 'height', 'width'],
  matrices: [1],
  flops: (node) => {
    const [dx, dw] = node.outputs;
    const [, w, dy] = node.inputs as [Value | null, Value, Value];
    const channels = (dx ? dx.shape[3]! : 0) + (dw ? dw.shape[3]! : 0);
    return (2 * channels * elements(dy.shape) * patchLength(w)) / w.shape[3]!;
  },
  // dx of a strided window is made for the pixels of one residue modulo the stride at a time; dw of 3x3 windows as in
  // native/cpu/winogradGradient.cpp.
  scratchBytes: (node) => {
    const { stride, height, width } = node.attrs;
    if (stride === 1) return node.outputs[1] && isPlainThree(node) ? 4 * winogradGradientFloats(node) : 0;
    const [n, , , channels] = node.outputs[0]?.shape ?? [0, 0, 0, 0];
    return 4 * n! * Math.ceil(height! / stride!) * Math.ceil(width! / stride!) * channels!;
  },
};

/** Whether the window is 3x3 with stride 1 and a border of one zero. */
function isPlainThree({ attrs, inputs }: Node): boolean {
  return WINDOW.every((name) => attrs[name] === 1) && inputs[1]!.shape[1] === 3 && inputs[1]!.shape[2] === 3;
}

/** Sums of the weight gradient by Winograd's transforms; 0 where the product over patches is taken. */
function winogradGradientFloats({ inputs }: Node): number {
  const [n, height, width, outs] = inputs[2]!.shape as [number, number, number, number];
  const channels = inputs[1]!.shape[3]!;
  const tiles = n * Math.ceil(height / 2) * Math.ceil(width / 2);
  if (channels < 16 || outs < 16 || tiles < 64 || channels * outs > 2 ** 18) return 0;
  const blocks = Math.ceil(channels / 96) * Math.ceil(outs / 96);
  const slices = Math.max(1, Math.min(Math.ceil(16 / blocks), Math.floor(tiles / 192)));
  return 16 * channels * outs * slices;
}

/** Throws ShapeError unless channels, window and bias fit. */
export function conv2d(x: Value, w: Value, b: Value | null, options: Conv2dOptions = {}): Value {
  const { y, attrs } = convolved('conv2d', x, w, b, options);
  return addNode(x.graph, conv2dOp, [x, w, b], [y], attrs).outputs[0]!;
}

/** What a convolution gives, and its attributes; throws ShapeError in the name of `op`. */
export function convolved(
  op: string,
  x: Value,
  w: Value,
  b: Value | null,
  options: Conv2dOptions,
): { y: OutputSpec; attrs: WindowAttrs } {
  expectRank(op, 'x', x, 4);
  expectRank(op, 'w', w, 4);
  const [n, height, width, channels] = x.shape as [number, number, number, number];
  const [out, tapRows, tapColumns, inner] = w.shape as [number, number, number, number];
  expectSize(op, 'channels of x', x, channels, inner);
  if (b) expectShape(op, 'b', b, [out]);
  const attrs = windowAttrs(op, x, options);
  const { stride, padTop, padLeft, padBottom, padRight } = attrs;
  const paddedHeight = height + padTop + padBottom;
  const paddedWidth = width + padLeft + padRight;
  const fits = paddedHeight >= tapRows && paddedWidth >= tapColumns;
  expectThat(fits, op, 'padded picture', `at least ${tapRows}x${tapColumns}`, `${paddedHeight}x${paddedWidth}`, x);
  const rows = Math.floor((paddedHeight - tapRows) / stride) + 1;
  const columns = Math.floor((paddedWidth - tapColumns) / stride) + 1;
  return { y: { name: 'y', shape: [n, rows, columns, out], dtype: x.dtype }, attrs };
}

function windowAttrs(op: string, x: Value, { stride = 1, pad = 0 }: Conv2dOptions): WindowAttrs {
  const sides = typeof pad === 'number' ? ([pad, pad, pad, pad] as const) : pad;
  expectThat(Number.isInteger(stride) && stride >= 1, op, 'stride', 'an integer >= 1', `${stride}`, x);
  const whole = sides.every((side) => Number.isInteger(side) && side >= 0);
  expectThat(whole, op, 'pad', 'integers >= 0', `[${sides}]`, x);
  const [padTop, padLeft, padBottom, padRight] = sides;
  return { stride, padTop, padLeft, padBottom, padRight };
}

function patchLength(w: Value): number {
  return elements(w.shape.slice(1));
}

function conv2dVjp(
  forward: Node,
  dy: Value,
  needs: readonly [boolean, boolean, boolean],
  channels: number,
): (Value | null)[] {
  const [x, w] = forward.inputs as [Value, Value];
  const [needX, needW, needB] = needs;
  const [n, height, width] = x.shape as [number, number, number, number];
  const node = addNode(
    dy.graph,
    conv2dVjpOp,
    [needW ? x : null, w, dy],
    [
      needX ? { name: 'dx', shape: [n, height, width, channels], dtype: dy.dtype } : null,
      needW ? { name: 'dw', shape: w.shape, dtype: 'f32' } : null,
      needB ? { name: 'db', shape: [w.shape[0]!], dtype: 'f32' } : null,
    ],
    { ...forward.attrs, height, width },
  );
  return [...node.outputs];
}
