import { ShapeError } from '../errors.js';
import type { DType, Value } from './graph.js';

function fail(op: string, what: string, expected: string, got: string, value: Value): never {
  throw new ShapeError(`[${op}] ${what}: expected ${expected}, got ${got} (at ${value.graph.path || 'the top level'})`);
}

/** Throws a ShapeError unless `value` has `rank` dimensions. */
export function expectRank(op: string, what: string, value: Value, rank: number): void {
  if (value.shape.length !== rank) fail(op, `dimensions of ${what}`, `${rank}`, `[${value.shape}]`, value);
}

/** Throws a ShapeError unless a size equals what is expected. */
export function expectSize(op: string, what: string, value: Value, got: number | undefined, expected: number): void {
  if (got !== expected) fail(op, what, `${expected}`, `${got}`, value);
}

/** Throws a ShapeError unless `value` has exactly this shape. */
export function expectShape(op: string, what: string, value: Value, shape: readonly number[]): void {
  if (value.shape.join() !== shape.join()) fail(op, `shape of ${what}`, `[${shape}]`, `[${value.shape}]`, value);
}

/** Throws a ShapeError unless `value` has one of these types. */
export function expectDType(op: string, what: string, value: Value, ...allowed: DType[]): void {
  if (!allowed.includes(value.dtype)) fail(op, `type of ${what}`, allowed.join(' or '), value.dtype, value);
}

/** Throws a ShapeError unless `ok`, in the common form. */
export function expectThat(ok: boolean, op: string, what: string, expected: string, got: string, value: Value): void {
  if (!ok) fail(op, what, expected, got, value);
}
