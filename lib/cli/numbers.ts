import { InvalidArgumentError } from 'commander';

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** A decimal number such as `12`, `0.5` or `1e-4`; commander names the flag when it is none. */
export function parseNumber(text: string): number {
  if (!DECIMAL.test(text)) throw new InvalidArgumentError('Expected a number.');
  return Number(text);
}

/** `512` or `768x512`, width first. */
export function parseSize(text: string): number | { width: number; height: number } {
  const match = /^(\d+)(?:[x×](\d+))?$/i.exec(text);
  if (!match)
    throw new InvalidArgumentError('Expected a side in pixels, such as 512, or WIDTHxHEIGHT, such as 768x512.');
  const width = Number(match[1]);
  return match[2] === undefined ? width : { width, height: Number(match[2]) };
}
