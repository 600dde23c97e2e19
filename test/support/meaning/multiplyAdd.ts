import type { Meaning } from '../interpreter.js';

const multiplyAdd: Meaning = ([x, y, z]) => [x!.data.map((v, i) => v + y!.data[i]! * z!.data[i]!)];

const multiplyAddVjp: Meaning = ([y, z, grad]) => [
  z ? grad!.data.map((g, i) => g * z.data[i]!) : null,
  y ? grad!.data.map((g, i) => g * y.data[i]!) : null,
];

export const meanings: Record<string, Meaning> = { multiplyAdd, multiplyAddVjp };
