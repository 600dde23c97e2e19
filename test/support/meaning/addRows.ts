import type { Meaning } from '../interpreter.js';

const addRows: Meaning = ([x, p]) => [x!.data.map((v, i) => v + p!.data[i % p!.data.length]!)];

export const meanings: Record<string, Meaning> = { addRows };
