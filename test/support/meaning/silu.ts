import type { Meaning } from '../interpreter.js';

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const siluSlope = (x: number): number => sigmoid(x) * (1 + x * (1 - sigmoid(x)));

const silu: Meaning = ([x]) => [x!.data.map((v) => v * sigmoid(v))];

const siluVjp: Meaning = ([x, dy]) => [x!.data.map((v, i) => dy!.data[i]! * siluSlope(v))];

export const meanings: Record<string, Meaning> = { silu, siluVjp };
