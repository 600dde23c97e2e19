import { createGraph, input, result } from '../../lib/graph/graph.js';
import { gaussianSingularValues, type SingularRange } from '../../lib/ops/gaussianSingularValues.js';
import type { ComputeDevice } from '../../lib/pipeline/device.js';
import { openSession, runOnce } from '../../lib/pipeline/session.js';
import { drawKey } from '../../lib/random/philox.js';
import { SMALLEST_P } from './bounds.js';
import type { Checks } from './checks.js';
import { openReference } from './reference.js';

/** Our draws: many, so that chance is nearly all on the side of the reference's. */
const DRAWS = 4000;

/** Largest distance between the distribution functions of two samples. */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [[...a].sort((p, q) => p - q), [...b].sort((p, q) => p - q)];
  let [i, j, largest] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const at = Math.min(x[i]!, y[j]!);
    while (i < x.length && x[i] === at) i++;
    while (j < y.length && y[j] === at) j++;
    largest = Math.max(largest, Math.abs(i / x.length - j / y.length));
  }
  return largest;
}

/** Probability of a distance of at least `d` between samples of one law: 2·Σ (−1)^(k−1)·exp(−2k²λ²) with Stephens' λ. */
export function kolmogorovP(d: number, n: number, m: number): number {
  const root = Math.sqrt((n * m) / (n + m));
  const lambda = (root + 0.12 + 0.11 / root) * d;
  if (lambda < 0.2) return 1;
  let sum = 0;
  for (let k = 1; k <= 100; k++) sum += 2 * (-1) ** (k - 1) * Math.exp(-2 * (k * lambda) ** 2);
  return Math.min(1, Math.max(0, sum));
}

function column(values: Float32Array, width: number, k: number): number[] {
  return Array.from({ length: values.length / width }, (_, i) => values[i * width + k]!);
}

async function draw(device: number | ComputeDevice, name: string, rank: number): Promise<Float32Array> {
  const [, width, out, which] = /^(\d+)x(\d+)\.r\d+\.(\w+)$/.exec(name)!;
  const session = openSession(device);
  try {
    const graph = createGraph();
    const shape = { rows: Number(out), cols: Number(width), rank, which: which as SingularRange, std: 1 / rank };
    result(graph, 'sigma', gaussianSingularValues(input(graph, 'key', [DRAWS, 4], 'i32'), shape));
    const key = Int32Array.from(Array.from({ length: DRAWS }, (_, i) => drawKey('starts', 0, i)).flat());
    return (await runOnce(session, graph, [], { key })).get('sigma')!;
  } finally {
    session.engine.dispose();
  }
}

/**
 * Singular values of starts against the reference's draws: a two-sample Kolmogorov–Smirnov test of each value in its order. A tensor of r values is
 * r tests; its p-value is the smallest of them times r (Bonferroni).
 */
export async function checkSingularValues(path: string, device: number | ComputeDevice, checks: Checks): Promise<void> {
  const reference = openReference(path);
  for (const name of reference.keys) {
    const [draws, rank] = reference.shape(name) as [number, number];
    const ours = await draw(device, name, rank);
    const theirs = reference.floats(name);
    const each = Array.from({ length: rank }, (_, k) =>
      kolmogorovP(kolmogorovSmirnov(column(ours, rank, k), column(theirs, rank, k)), DRAWS, draws),
    );
    checks.atLeast(`${name}, p of ${rank} tests together`, Math.min(1, rank * Math.min(...each)), SMALLEST_P);
  }
}
