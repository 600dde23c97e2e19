import { ConfigError } from '../errors.js';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/**
 * Reads a size such as `9GB`, `8.5 GiB` or `500MB`; GB is 10⁹ bytes, GiB 2³⁰; a bare number is bytes.
 * @throws ConfigError when it is no positive size
 */
export function parseByteSize(text: string | number, option: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(String(text));
  const unit = UNITS[match?.[2]?.toUpperCase() ?? '?'];
  const bytes = match && unit !== undefined ? Math.floor(Number(match[1]) * unit) : 0;
  if (bytes > 0) return bytes;
  throw new ConfigError(`${option}: expected a size such as 9GB or 8.5GiB, got '${text}'`);
}

/** A size for people, rounded up to three digits: `1.24GB`, `540MB`. */
export function formatBytes(bytes: number): string {
  const [unit, name] = bytes >= 1e9 ? [1e9, 'GB'] : bytes >= 1e6 ? [1e6, 'MB'] : bytes >= 1e3 ? [1e3, 'kB'] : [1, 'B'];
  const digits = bytes / unit >= 100 || unit === 1 ? 0 : bytes / unit >= 10 ? 1 : 2;
  const step = 10 ** digits;
  return `${(Math.ceil((bytes / unit) * step) / step).toFixed(digits)}${name}`;
}
