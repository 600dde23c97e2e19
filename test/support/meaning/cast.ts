import type { Meaning } from '../interpreter.js';

/** The value itself: float64 does not round. */
const cast: Meaning = ([x]) => [x!.data.slice()];

export const meanings: Record<string, Meaning> = { cast };
