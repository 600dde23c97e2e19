import { elements } from '../../../lib/graph/graph.js';
import type { Meaning } from '../interpreter.js';
import { sigmoid, siluSlope } from './silu.js';

/** Calls `visit(i, channel, group)` for every element: `i` its place in x, `group` sample · groups + group of its channel. */
function eachElement(shape: readonly number[], groups: number, visit: (i: number, c: number, g: number) => void): void {
  const channels = shape.at(-1)!;
  const perSample = elements(shape) / shape[0]!;
  for (let i = 0; i < elements(shape); i++) {
    const c = i % channels;
    visit(i, c, Math.floor(i / perSample) * groups + Math.floor((c * groups) / channels));
  }
}

const groupNorm: Meaning = ([x, w, b], attrs) => {
  const groups = attrs.groups!;
  const mean = new Float64Array(x!.shape[0]! * groups);
  const rstd = mean.slice();
  const y = x!.data.slice();
  const count = y.length / mean.length;
  eachElement(x!.shape, groups, (i, _c, g) => {
    mean[g]! += x!.data[i]! / count;
  });
  eachElement(x!.shape, groups, (i, _c, g) => {
    rstd[g]! += (x!.data[i]! - mean[g]!) ** 2 / count;
  });
  rstd.forEach((variance, g) => {
    rstd[g] = 1 / Math.sqrt(variance + attrs.eps!);
  });
  eachElement(x!.shape, groups, (i, c, g) => {
    const z = (x!.data[i]! - mean[g]!) * rstd[g]! * w!.data[c]! + b!.data[c]!;
    y[i] = attrs.silu ? z * sigmoid(z) : z;
  });
  return [y, mean, rstd];
};

const groupNormVjp: Meaning = ([x, w, b, mean, rstd, dy, through], attrs) => {
  const groups = attrs.groups!;
  const count = x!.data.length / mean!.data.length;
  const dz = dy!.data.slice();
  const normal = x!.data.slice();
  const dw = new Float64Array(w!.data.length);
  const db = dw.slice();
  const sums = mean!.data.map(() => 0);
  const products = sums.slice();
  eachElement(x!.shape, groups, (i, c, g) => {
    normal[i] = (x!.data[i]! - mean!.data[g]!) * rstd!.data[g]!;
    if (attrs.silu) dz[i]! *= siluSlope(normal[i]! * w!.data[c]! + b!.data[c]!);
    dw[c]! += dz[i]! * normal[i]!;
    db[c]! += dz[i]!;
    sums[g]! += dz[i]! * w!.data[c]!;
    products[g]! += dz[i]! * w!.data[c]! * normal[i]!;
  });
  const dx = new Float64Array(dz.length);
  eachElement(x!.shape, groups, (i, c, g) => {
    const own = rstd!.data[g]! * (dz[i]! * w!.data[c]! - sums[g]! / count - (normal[i]! * products[g]!) / count);
    dx[i] = own + (through?.data[i] ?? 0);
  });
  return [dx, dw, db];
};

export const meanings: Record<string, Meaning> = { groupNorm, groupNormVjp };
