import { elements } from '../../../lib/graph/graph.js';
import type { Meaning } from '../interpreter.js';

const layerNorm: Meaning = ([x, w, b], { eps }) => {
  const c = x!.shape.at(-1)!;
  const rows = elements(x!.shape) / c;
  const y = new Float64Array(rows * c);
  const mean = new Float64Array(rows);
  const rstd = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const row = x!.data.subarray(r * c, (r + 1) * c);
    const average = row.reduce((sum, v) => sum + v, 0) / c;
    const variance = row.reduce((sum, v) => sum + (v - average) ** 2, 0) / c;
    mean[r] = average;
    rstd[r] = 1 / Math.sqrt(variance + eps!);
    row.forEach((v, i) => {
      y[r * c + i] = (v - average) * rstd[r]! * (w?.data[i] ?? 1) + (b?.data[i] ?? 0);
    });
  }
  return [y, mean, rstd];
};

const layerNormVjp: Meaning = ([x, w, mean, rstd, dy, through]) => {
  const c = x!.shape.at(-1)!;
  const dx = new Float64Array(x!.data.length);
  const dw = new Float64Array(c);
  const db = new Float64Array(c);
  mean!.data.forEach((average, r) => {
    const normal = x!.data.subarray(r * c, (r + 1) * c).map((v) => (v - average) * rstd!.data[r]!);
    const g = normal.map((_, i) => dy!.data[r * c + i]! * (w?.data[i] ?? 1));
    const sum = g.reduce((s, v) => s + v, 0) / c;
    const product = g.reduce((s, v, i) => s + v * normal[i]!, 0) / c;
    normal.forEach((n, i) => {
      dx[r * c + i] = rstd!.data[r]! * (g[i]! - sum - n * product) + (through?.data[r * c + i] ?? 0);
      dw[i]! += dy!.data[r * c + i]! * n;
      db[i]! += dy!.data[r * c + i]!;
    });
  });
  return [dx, dw, db];
};

export const meanings: Record<string, Meaning> = { layerNorm, layerNormVjp };
