import type { Shape } from '../../../lib/graph/graph.js';
import type { Meaning } from '../interpreter.js';

type Attrs = Readonly<Record<string, number>>;

/** Calls body(index in x, index in w, index in y) for every row of products over channels, from these on, that meets the picture. */
function eachRow(x: Shape, w: Shape, y: Shape, attrs: Attrs, body: (xi: number, wi: number, yi: number) => void): void {
  const [n, height, width, channels] = x as [number, number, number, number];
  const [out, tapRows, tapColumns] = w as [number, number, number, number];
  const [, rows, columns] = y as [number, number, number, number];
  for (let i = 0; i < n * rows * columns; i++) {
    const image = Math.floor(i / (rows * columns));
    const top = (Math.floor(i / columns) % rows) * attrs.stride! - attrs.padTop!;
    const left = (i % columns) * attrs.stride! - attrs.padLeft!;
    for (let tap = 0; tap < tapRows * tapColumns; tap++) {
      const h = top + Math.floor(tap / tapColumns);
      const v = left + (tap % tapColumns);
      if (h < 0 || h >= height || v < 0 || v >= width) continue;
      const xi = ((image * height + h) * width + v) * channels;
      for (let o = 0; o < out; o++) {
        body(xi, (o * tapRows * tapColumns + tap) * channels, i * out + o);
      }
    }
  }
}

const conv2d: Meaning = ([x, w, b], attrs, [y]) => {
  const shape = y!.shape;
  const out = shape[3]!;
  const size = shape.reduce((p, q) => p * q, 1);
  const sum = Float64Array.from({ length: size }, (_, i) => (b ? b.data[i % out]! : 0));
  const [from, weights, channels] = [x!.data, w!.data, w!.shape[3]!];
  eachRow(x!.shape, w!.shape, shape, attrs, (xi, wi, yi) => {
    let products = 0;
    for (let c = 0; c < channels; c++) products += from[xi + c]! * weights[wi + c]!;
    sum[yi]! += products;
  });
  return [sum];
};

const conv2dVjp: Meaning = ([x, w, dy], attrs, [dx, dw, db]) => {
  const [n, , , out] = dy!.shape as [number, number, number, number];
  const channels = w!.shape[3]!;
  const picture: Shape = [n, attrs.height!, attrs.width!, channels];
  const gradX = new Float64Array(picture.reduce((p, q) => p * q, 1));
  const gradW = new Float64Array(w!.data.length);
  const gradB = new Float64Array(out);
  dy!.data.forEach((g, i) => {
    gradB[i % out]! += g;
  });
  const weights = w!.data;
  eachRow(picture, w!.shape, dy!.shape, attrs, (xi, wi, yi) => {
    const g = dy!.data[yi]!;
    for (let c = 0; c < channels; c++) gradX[xi + c]! += g * weights[wi + c]!;
    if (x) for (let c = 0; c < channels; c++) gradW[wi + c]! += g * x.data[xi + c]!;
  });
  const first = dx ? gradX.filter((_, i) => i % channels < dx.shape[3]!) : null;
  return [first, dw ? gradW : null, db ? gradB : null];
};

export const meanings: Record<string, Meaning> = { conv2d, conv2dVjp };
