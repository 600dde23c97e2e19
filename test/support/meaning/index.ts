import type { Meaning } from '../interpreter.js';
import { meanings as add } from './add.js';
import { meanings as attention } from './attention.js';
import { meanings as conv2d } from './conv2d.js';
import { meanings as linear } from './linear.js';
import { meanings as lowRank } from './lowRank.js';

/** The float64 meaning of every op, one file an op. */
export const meanings: Record<string, Meaning> = {
  ...add,
  ...attention,
  ...conv2d,
  ...linear,
  ...lowRank,
};
