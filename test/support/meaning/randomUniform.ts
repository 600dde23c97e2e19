import type { Meaning } from '../interpreter.js';
import { blockOf, fromStreams } from './randomNormal.js';

const randomUniform: Meaning = ([key], _attrs, [y]) => {
  const size = y!.shape.reduce((a, b) => a * b, 1);
  return [fromStreams(key!, size, (words, block) => blockOf(words, block).map((word) => (word >>> 8) / 2 ** 24))];
};

export const meanings: Record<string, Meaning> = { randomUniform };
