// Reading a model's config.json: every field that changes the result is read or required; unknown ones are named.
import { ConfigError } from '../errors.js';

/** The parsed object of a config.json. */
export type ModelConfigJson = Readonly<Record<string, unknown>>;

export interface ConfigReader {
  integer(name: string, fallback: number, min?: number): number;
  number(name: string, fallback: number): number;
  boolean(name: string, fallback: boolean): boolean;
  /** A value out of a list; null only where the list has it. */
  oneOf<T extends string | number | boolean | null>(name: string, fallback: T, values: readonly T[]): T;
  strings(name: string, fallback: readonly string[]): readonly string[];
  /** An integer for each block, or one for all. */
  integers(name: string, fallback: number | readonly number[], count: number): readonly number[];
  /** Whether `name` is absent or null. */
  isNull(name: string): boolean;
  /** Refuses `name` unless it is absent or has one of these values: others are not implemented. */
  require(name: string, ...values: readonly unknown[]): void;
  /** A ConfigError about `name`. */
  fail(name: string, expected: string): ConfigError;
  /** Ends reading: fields never read, not without effect and set to something (not null, not false) are an error. */
  finish(withoutEffect: readonly string[]): void;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
const show = (value: unknown): string => JSON.stringify(value) ?? String(value);
const isInteger = (value: unknown, min: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min;

/** @param source how errors call the file, such as `unet/config.json` */
export function configReader(source: string, json: unknown): ConfigReader {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`[${source}] expected an object, got ${show(json)}`);
  }
  const config = json as ModelConfigJson;
  const read = new Set<string>();
  const get = (name: string, fallback: unknown): unknown => {
    read.add(name);
    return config[name] === undefined ? fallback : config[name];
  };
  const fail = (name: string, expected: string): ConfigError =>
    new ConfigError(`[${source}] ${name}: expected ${expected}, got ${show(config[name])}`, {
      hint: 'This model needs something that is not implemented, or its config.json is damaged.',
    });
  return {
    fail,
    integer: (name, fallback, min = 1) => {
      const value = get(name, fallback);
      if (!isInteger(value, min)) throw fail(name, `an integer of at least ${min}`);
      return value;
    },
    number: (name, fallback) => {
      const value = get(name, fallback);
      if (typeof value !== 'number' || !Number.isFinite(value)) throw fail(name, 'a number');
      return value;
    },
    boolean: (name, fallback) => {
      const value = get(name, fallback);
      if (typeof value !== 'boolean') throw fail(name, 'true or false');
      return value;
    },
    oneOf: (name, fallback, values) => {
      const value = get(name, fallback);
      const known = values.find((candidate) => candidate === value);
      if (known === undefined) throw fail(name, values.map(show).join(' or '));
      return known;
    },
    strings: (name, fallback) => {
      const value = get(name, fallback);
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
        throw fail(name, 'a list of names');
      return value;
    },
    integers: (name, fallback, count) => {
      const value = get(name, fallback);
      if (isInteger(value, 1)) return Array.from({ length: count }, () => value);
      const list = Array.isArray(value) && value.length === count && value.every((item) => isInteger(item, 1));
      if (!list) throw fail(name, `an integer of at least 1, or a list of ${count}`);
      return value;
    },
    isNull: (name) => get(name, null) === null,
    require: (name, ...values) => {
      const value = get(name, values[0]);
      if (!values.some((candidate) => same(candidate, value))) throw fail(name, values.map(show).join(' or '));
    },
    finish: (withoutEffect) => {
      const unknown = Object.entries(config)
        .filter(([name, value]) => !read.has(name) && !name.startsWith('_') && value !== null && value !== false)
        .filter(([name]) => !withoutEffect.includes(name));
      if (unknown.length === 0) return;
      const named = unknown.map(([name, value]) => `${name} = ${show(value)}`).join(', ');
      throw new ConfigError(`[${source}] expected only known fields, got ${named}`, {
        hint: 'The model may need what these fields ask for. If they change nothing, remove them from the file.',
      });
    },
  };
}
