import type { Meaning } from '../interpreter.js';

const add: Meaning = ([a, b]) => [a!.data.map((v, i) => v + b!.data[i]!)];

export const meanings: Record<string, Meaning> = { add };
