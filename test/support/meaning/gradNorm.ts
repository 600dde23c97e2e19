import type { Meaning } from '../interpreter.js';

const gradNorm: Meaning = ([grads]) => [Float64Array.of(Math.sqrt(grads!.data.reduce((sum, g) => sum + g * g, 0)))];

export const meanings: Record<string, Meaning> = { gradNorm };
