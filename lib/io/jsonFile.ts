import { readFileSync } from 'node:fs';
import { FileFormatError } from '../errors.js';
import { openError } from './fileBytes.js';

/** The object in a JSON file; anything else is a FileFormatError that names the file. */
export function readJsonObject(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw openError(path, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw notAnObject(path, `got something else (${reason})`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw notAnObject(path, `got ${text.trim().slice(0, 40)}`);
  }
  return value as Record<string, unknown>;
}

function notAnObject(path: string, got: string, cause?: unknown): FileFormatError {
  return new FileFormatError(`${path}: expected a JSON object, ${got}`, {
    hint: 'The file is damaged or incomplete: download or save it again.',
    cause,
  });
}
