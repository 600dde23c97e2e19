import type { Meaning } from '../interpreter.js';

const concat: Meaning = ([a, b]) => {
  const [p, q] = [a!.shape.at(-1)!, b!.shape.at(-1)!];
  const y = new Float64Array(a!.data.length + b!.data.length);
  return [
    y.map((_, i) => {
      const [row, column] = [Math.floor(i / (p + q)), i % (p + q)];
      return column < p ? a!.data[row * p + column]! : b!.data[row * q + column - p]!;
    }),
  ];
};

export const meanings: Record<string, Meaning> = { concat };
