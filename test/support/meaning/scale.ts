import type { Meaning } from '../interpreter.js';

const scale: Meaning = ([x], { factor }) => [x!.data.map((v) => v * factor!)];

export const meanings: Record<string, Meaning> = { scale };
