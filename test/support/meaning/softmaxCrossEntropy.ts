import type { Meaning } from '../interpreter.js';

const softmaxCrossEntropy: Meaning = ([logits, labels]) => {
  const [n, c] = logits!.shape as [number, number];
  const rows = Array.from({ length: n }, (_, i) => logits!.data.subarray(i * c, (i + 1) * c));
  const lse = Float64Array.from(rows, (row) => Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0)));
  const perSample = lse.map((v, i) => v - rows[i]![labels!.data[i]!]!);
  return [Float64Array.of(perSample.reduce((sum, v) => sum + v, 0) / n), perSample, lse];
};

const softmaxCrossEntropyVjp: Meaning = ([logits, labels, lse, dloss]) => {
  const [n, c] = logits!.shape as [number, number];
  const isLabel = (i: number): number => (labels!.data[Math.floor(i / c)] === i % c ? 1 : 0);
  const share = (v: number, i: number): number => Math.exp(v - lse!.data[Math.floor(i / c)]!);
  return [logits!.data.map((v, i) => (dloss!.data[0]! / n) * (share(v, i) - isLabel(i)))];
};

export const meanings: Record<string, Meaning> = { softmaxCrossEntropy, softmaxCrossEntropyVjp };
