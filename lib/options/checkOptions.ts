import type { z } from 'zod';
import { ConfigError } from '../errors.js';
import { nearest } from './nearest.js';

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return `${value}`;
  if (Array.isArray(value)) return 'a list';
  const name = typeof value === 'object' ? (value as object).constructor?.name : undefined;
  return name === undefined || name === 'Object'
    ? `a value of the type ${typeof value}`
    : `a value of the class ${name}`;
}

function valueAt(given: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], given);
}

function unknownOption(what: string, key: string, known: readonly string[]): ConfigError {
  const guess = nearest(key, known);
  return new ConfigError(`${what}: there is no option '${key}'`, {
    hint: guess ? `Did you mean '${guess}'?` : `Options: ${known.join(', ')}.`,
  });
}

/**
 * Checks options against a strict schema and fills in defaults.
 * @param what the function or command, for messages
 * @throws ConfigError that names the option, what was expected and what was given, or the nearest right name of a misspelt one
 */
export function checkOptions<S extends z.ZodObject>(what: string, schema: S, given: unknown): z.output<S> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    throw unknownOption(what, issue.keys[0]!, Object.keys(schema.shape));
  }
  const name = issue.path.map(String).join('.') || 'options';
  const expected = issue.message.replace(/^Invalid input: |, received .*$/g, '').replace(/^(?!expected)/, 'expected ');
  throw new ConfigError(`${name}: ${expected}, got ${shown(valueAt(given, issue.path))}`);
}
