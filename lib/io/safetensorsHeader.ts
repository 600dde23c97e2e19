import { closeSync, fstatSync, openSync } from 'node:fs';
import { FileFormatError } from '../errors.js';
import { openError, readFully } from './fileBytes.js';

/**
 * Bytes of one element, in the order of the reference writer: it stores later ones first, so that wide elements come
 * aligned.
 */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

/** Where one tensor lies in a file. */
export interface TensorRef {
  /** The key in the file. */
  key: string;
  path: string;
  dtype: SafetensorsDtype;
  /** Row-major; [] is a scalar. */
  shape: number[];
  /** Of the first byte, from the start of the file. */
  offset: number;
  bytes: number;
  /** The file holds the transpose of the matrix of `shape`; a header never says so, but what a layout of checkpoints does. */
  transposed?: true;
}

export interface SafetensorsFile {
  path: string;
  metadata: Record<string, string>;
  /** In the order of the bytes in the file. */
  tensors: Map<string, TensorRef>;
}

/** The reference reader's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
const DAMAGED = 'The file is damaged or incomplete: download or save it again.';
const FOREIGN = 'Check that this is a .safetensors file and that it was downloaded completely.';

/**
 * Reads the header of a safetensors file, and nothing else of it, and checks it: every tensor's bytes must fit its
 * dtype and shape, and all tensors together must cover the rest of the file exactly once.
 *
 * @throws FileFormatError saying what is wrong where.
 */
export function readSafetensorsHeader(path: string): SafetensorsFile {
  const { header, dataStart, dataBytes } = readHeader(path);
  const metadata = checkMetadata(path, header);
  const refs = Object.entries(header)
    .filter(([key]) => key !== '__metadata__')
    .map(([key, entry]) => checkEntry(path, key, entry, dataStart))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  checkCoverage(path, refs, dataStart, dataBytes);
  return { path, metadata, tensors: new Map(refs.map((ref) => [ref.key, ref])) };
}

function fail(path: string, what: string, hint: string = DAMAGED): never {
  throw new FileFormatError(`[safetensors] ${path}: ${what}`, { hint });
}

function readHeader(path: string): { header: Record<string, unknown>; dataStart: number; dataBytes: number } {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw openError(path, error);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) fail(path, 'expected a file, got a folder or device', FOREIGN);
    if (stat.size < LENGTH_BYTES) fail(path, `expected at least ${LENGTH_BYTES} bytes, got ${stat.size}`);
    const length = Number(readFully(file, path, 0, LENGTH_BYTES).readBigUInt64LE());
    if (length > MAX_HEADER_BYTES) {
      fail(path, `header length: expected at most ${MAX_HEADER_BYTES} bytes, got ${length}`, FOREIGN);
    }
    const dataStart = LENGTH_BYTES + length;
    if (dataStart > stat.size) {
      fail(path, `truncated in the header: expected at least ${dataStart} bytes, got ${stat.size}`);
    }
    const header = parseHeader(path, readFully(file, path, LENGTH_BYTES, length));
    return { header, dataStart, dataBytes: stat.size - dataStart };
  } finally {
    closeSync(file);
  }
}

function parseHeader(path: string, bytes: Buffer): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    fail(path, `header: expected a JSON object, got something else (${reason})`, FOREIGN);
  }
  if (!isRecord(header))
    fail(path, `header: expected a JSON object, got ${JSON.stringify(header)?.slice(0, 40)}`, FOREIGN);
  return header;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMetadata(path: string, header: Record<string, unknown>): Record<string, string> {
  const metadata = Object.hasOwn(header, '__metadata__') ? header.__metadata__ : {};
  if (!isRecord(metadata)) fail(path, `__metadata__: expected an object, got ${JSON.stringify(metadata)}`);
  const entries = Object.entries(metadata).map(([key, value]): [string, string] => {
    if (typeof value !== 'string') fail(path, `__metadata__.${key}: expected text, got ${JSON.stringify(value)}`);
    return [key, value];
  });
  return Object.fromEntries(entries);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkEntry(path: string, key: string, entry: unknown, dataStart: number): TensorRef {
  const at = `tensor ${JSON.stringify(key)}`;
  if (!isRecord(entry)) fail(path, `${at}: expected an object, got ${JSON.stringify(entry)}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    fail(path, `${at}: dtype: expected one of ${Object.keys(DTYPE_BYTES).join(', ')}, got ${JSON.stringify(dtype)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    fail(path, `${at}: shape: expected whole numbers from 0 up, got ${JSON.stringify(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    fail(path, `${at}: data_offsets: expected two whole numbers from 0 up, got ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const elementBytes = DTYPE_BYTES[dtype as SafetensorsDtype];
  const bytes = shape.reduce((product: number, side: number) => product * side, elementBytes);
  if (end - begin !== bytes) {
    fail(
      path,
      `${at}: data_offsets: expected ${bytes} bytes for ${dtype} [${shape}], got ${begin}…${end} = ${end - begin}`,
    );
  }
  return { key, path, dtype: dtype as SafetensorsDtype, shape, offset: dataStart + begin, bytes };
}

function checkCoverage(path: string, refs: readonly TensorRef[], dataStart: number, dataBytes: number): void {
  let covered = 0;
  for (const { key, offset, bytes } of refs) {
    const begin = offset - dataStart;
    const at = `tensor ${JSON.stringify(key)}: data_offsets`;
    if (begin < covered)
      fail(path, `${at}: expected to begin at ${covered}, got ${begin}: overlaps the tensor before it`);
    if (begin > covered)
      fail(path, `${at}: expected to begin at ${covered}, got ${begin}: bytes that belong to no tensor`);
    covered = begin + bytes;
    if (covered > dataBytes) {
      fail(
        path,
        `${at}: expected to end within the file's ${dataBytes} data bytes, got ${covered}: truncated or out of range`,
      );
    }
  }
  if (covered !== dataBytes)
    fail(path, `expected ${covered} data bytes, got ${dataBytes}: bytes that belong to no tensor`);
}
