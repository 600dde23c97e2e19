import { ConfigError } from '../errors.js';

/** The parsed object of a `scheduler_config.json`. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

function show(value: unknown): string {
  return Number.isNaN(value) || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
    ? String(value)
    : (JSON.stringify(value) ?? String(value));
}

/** The error for a field whose value would change the result and is not implemented. */
export function fieldError(name: string, expected: string, got: unknown): ConfigError {
  return new ConfigError(`[scheduler_config.json] ${name}: expected ${expected}, got ${show(got)}`, {
    hint: `This model needs a scheduler setting that is not implemented; see "${name}" in its scheduler folder.`,
  });
}

/** An absent field and `null` (Python's None) both mean the default. */
export function readNumber(config: SchedulerConfig, name: string, fallback: number, min: number, max: number): number {
  const value = config[name] ?? fallback;
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw fieldError(name, `a number from ${min} to ${max}`, value);
  }
  return value;
}

export function readInteger(config: SchedulerConfig, name: string, fallback: number, min: number, max: number): number {
  const value = readNumber(config, name, fallback, min, max);
  if (!Number.isInteger(value)) throw fieldError(name, 'an integer', value);
  return value;
}

export function readBoolean(config: SchedulerConfig, name: string, fallback: boolean): boolean {
  const value = config[name] ?? fallback;
  if (typeof value !== 'boolean') throw fieldError(name, 'true or false', value);
  return value;
}

export function readOneOf<T extends string>(
  config: SchedulerConfig,
  name: string,
  fallback: T,
  values: readonly T[],
): T {
  const value = config[name] ?? fallback;
  const known = values.find((candidate) => candidate === value);
  if (known === undefined) throw fieldError(name, `one of ${values.join(', ')}`, value);
  return known;
}

/** Refuses a field that is present, not null and has none of the accepted values. */
export function requireFields(config: SchedulerConfig, accepted: Readonly<Record<string, readonly unknown[]>>): void {
  for (const [name, values] of Object.entries(accepted)) {
    const value = config[name] ?? null;
    if (value !== null && !values.includes(value)) {
      throw fieldError(name, values.length === 0 ? 'null' : values.map(show).join(' or '), value);
    }
  }
}
