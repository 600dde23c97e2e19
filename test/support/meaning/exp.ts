import type { Meaning } from '../interpreter.js';

const exp: Meaning = ([x]) => [x!.data.map(Math.exp)];

const expVjp: Meaning = ([y, dy]) => [y!.data.map((v, i) => v * dy!.data[i]!)];

export const meanings: Record<string, Meaning> = { exp, expVjp };
