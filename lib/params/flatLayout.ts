import { ConfigError } from '../errors.js';
import { elements, type Shape } from '../graph/graph.js';

/** Where one trained value lies in the flat buffers of parameters, gradients and moments; in float32 elements. */
export interface FlatEntry {
  readonly offset: number;
  readonly shape: Shape;
  readonly count: number;
}

export interface FlatLayout {
  readonly entries: ReadonlyMap<string, FlatEntry>;
  /** Elements of one buffer, padding included. */
  readonly total: number;
}

/** Every entry starts on a 64-byte line. */
const ALIGNMENT = 16;

/**
 * Lays values out one after the other, in the given order, each aligned to 16 floats.
 * @throws ConfigError if a name comes twice.
 */
export function flatLayout(values: Iterable<{ readonly name: string; readonly shape: Shape }>): FlatLayout {
  const entries = new Map<string, FlatEntry>();
  let total = 0;
  for (const { name, shape } of values) {
    if (entries.has(name)) throw new ConfigError(`[flat layout] '${name}': expected one entry, got two`);
    const count = elements(shape);
    entries.set(name, { offset: total, shape, count });
    total += Math.ceil(count / ALIGNMENT) * ALIGNMENT;
  }
  return { entries, total };
}
