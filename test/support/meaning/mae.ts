import type { Meaning } from '../interpreter.js';

const mae: Meaning = ([prediction, target]) => [
  Float64Array.of(
    prediction!.data.reduce((sum, p, i) => sum + Math.abs(p - target!.data[i]!), 0) / prediction!.data.length,
  ),
];

const maeVjp: Meaning = ([prediction, target, dloss]) => {
  const each = dloss!.data[0]! / prediction!.data.length;
  return [prediction!.data.map((p, i) => each * Math.sign(p - target!.data[i]!))];
};

export const meanings: Record<string, Meaning> = { mae, maeVjp };
