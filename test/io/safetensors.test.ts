import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileFormatError } from '../../lib/errors.js';
import {
  DTYPE_BYTES,
  readSafetensorsHeader,
  readTensorBytes,
  readTensorFloat32,
  readTensorInt32,
  type SafetensorsDtype,
  type TensorToWrite,
  writeSafetensors,
} from '../../lib/io/safetensors.js';

let folder: string;
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-safetensors-'));
  path = join(folder, 'x.safetensors');
});
afterAll(() => rmSync(folder, { recursive: true }));

const dtypes = Object.keys(DTYPE_BYTES) as SafetensorsDtype[];

const anyTensor: fc.Arbitrary<TensorToWrite & { data: Uint8Array }> = fc
  .record({
    key: fc.string({ unit: 'grapheme', maxLength: 12 }).filter((key) => key !== '__metadata__'),
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
  })
  .chain(({ key, dtype, shape }) => {
    const length = shape.reduce((product, side) => product * side, DTYPE_BYTES[dtype]);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({ key, dtype, shape, data }));
  });

describe('round trip', () => {
  test('any keys, dtypes, shapes and metadata come back as written', async () => {
    const tensors = fc.uniqueArray(anyTensor, { selector: ({ key }) => key, maxLength: 8 });
    const metadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }));
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (written, meta) => {
        await writeSafetensors(path, written, meta);
        const file = readSafetensorsHeader(path);
        expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(meta).sort());
        expect(file.tensors.size).toBe(written.length);
        for (const { key, dtype, shape, data } of written) {
          const ref = file.tensors.get(key)!;
          expect(ref).toMatchObject({ key, path, dtype, shape });
          expect(readTensorBytes(ref)).toEqual(data);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('the same content gives the same bytes in whatever order it comes, aligned to 8', async () => {
    const tensors: TensorToWrite[] = [
      { key: 'b', dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      { key: 'c', dtype: 'F16', shape: [1], data: Float32Array.of(1) },
      { key: 'a', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
      { key: 'ü', dtype: 'F32', shape: [], data: Float32Array.of(3) },
    ];
    await writeSafetensors(path, tensors, { format: 'pt' });
    const bytes = readFileSync(path);
    await writeSafetensors(path, tensors.toReversed(), { format: 'pt' });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(bytes.readUInt32LE(0) % 8).toBe(0);
    const { tensors: refs } = readSafetensorsHeader(path);
    expect([...refs.keys()]).toEqual(['a', 'ü', 'c', 'b']);
    expect(await readdir(folder)).toEqual(['x.safetensors']);
  });

  test('data as functions is asked for one tensor at a time', async () => {
    const asked: string[] = [];
    const lazy = (key: string) => () => {
      asked.push(key);
      return Float32Array.of(asked.length);
    };
    const tensor = (key: string): TensorToWrite => ({ key, dtype: 'F32', shape: [1], data: lazy(key) });
    await writeSafetensors(path, [tensor('b'), tensor('a')]);
    expect(asked).toEqual(['a', 'b']);
    const { tensors } = readSafetensorsHeader(path);
    expect(readTensorFloat32(tensors.get('b')!)).toEqual(Float32Array.of(2));
  });
});

describe('values', () => {
  test('floats are rounded to the stored type and widened back', async () => {
    const data = Float32Array.of(1 / 3, -65504, 1e-8, Number.POSITIVE_INFINITY);
    const f64 = new Uint8Array(Float64Array.of(1 / 3).buffer);
    await writeSafetensors(path, [
      { key: 'f32', dtype: 'F32', shape: [4], data },
      { key: 'f16', dtype: 'F16', shape: [2, 2], data },
      { key: 'bf16', dtype: 'BF16', shape: [4, 1], data },
      { key: 'f64', dtype: 'F64', shape: [1], data: f64 },
    ]);
    const read = (key: string) => [...readTensorFloat32(readSafetensorsHeader(path).tensors.get(key)!)];
    expect(read('f32')).toEqual([...data]);
    expect(read('f16')).toEqual([0.333251953125, -65504, 0, Number.POSITIVE_INFINITY]);
    expect(read('bf16')).toEqual([0.333984375, -65536, Math.fround(1.0011717677116394e-8), Number.POSITIVE_INFINITY]);
    expect(read('f64')).toEqual([Math.fround(1 / 3)]);
  });

  test('integers of every width are read as int32 when they fit', async () => {
    const bytes = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer as ArrayBuffer);
    await writeSafetensors(path, [
      { key: 'I32', dtype: 'I32', shape: [2], data: Int32Array.of(-1, 7) },
      { key: 'I64', dtype: 'I64', shape: [2], data: bytes(BigInt64Array.of(-1n, 7n)) },
      { key: 'U8', dtype: 'U8', shape: [2], data: Uint8Array.of(255, 7) },
      { key: 'I8', dtype: 'I8', shape: [2], data: Uint8Array.of(255, 7) },
      { key: 'BOOL', dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
      { key: 'I16', dtype: 'I16', shape: [1], data: bytes(Int16Array.of(-300)) },
      { key: 'U16', dtype: 'U16', shape: [1], data: bytes(Uint16Array.of(65535)) },
      { key: 'U32', dtype: 'U32', shape: [1], data: bytes(Uint32Array.of(2 ** 31 - 1)) },
      { key: 'U64', dtype: 'U64', shape: [1], data: bytes(BigUint64Array.of(5n)) },
      { key: 'large', dtype: 'I64', shape: [1], data: bytes(BigInt64Array.of(2n ** 31n)) },
      { key: 'float', dtype: 'F32', shape: [1], data: Float32Array.of(1) },
    ]);
    const { tensors } = readSafetensorsHeader(path);
    const read = (key: string) => [...readTensorInt32(tensors.get(key)!)];
    expect([...tensors.keys()].filter((key) => key === key.toUpperCase()).map((key) => [key, read(key)])).toEqual([
      ['U64', [5]],
      ['I64', [-1, 7]],
      ['U32', [2 ** 31 - 1]],
      ['I32', [-1, 7]],
      ['U16', [65535]],
      ['I16', [-300]],
      ['I8', [-1, 7]],
      ['U8', [255, 7]],
      ['BOOL', [1, 0]],
    ]);
    expect(() => read('large')).toThrow(/"large": 2147483648 does not fit int32/);
    expect(() => read('float')).toThrow(/"float": dtype: expected an integer dtype, got F32/);
    expect(() => readTensorFloat32(tensors.get('I32')!)).toThrow(/dtype: expected F32, F16, BF16 or F64, got I32/);
  });
});

/** A file with this header text and so many bytes after it. */
function fileOf(header: string, dataBytes: number, length: number = Buffer.byteLength(header)): string {
  const bytes = Buffer.alloc(8 + Buffer.byteLength(header) + dataBytes);
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(header, 8);
  writeFileSync(path, bytes);
  return path;
}

const f32 = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') => ({ dtype, shape, data_offsets: offsets });

describe('bad files', () => {
  test('a well-formed file with gaps in no place is accepted, empty tensors and an empty file of tensors too', () => {
    fileOf(JSON.stringify({ b: f32([1], [0, 4]), empty: f32([0, 3], [4, 4]), a: f32([], [4, 8]) }), 8);
    expect([...readSafetensorsHeader(path).tensors.keys()]).toEqual(['b', 'empty', 'a']);
    fileOf('{}   ', 0);
    expect(readSafetensorsHeader(path).tensors.size).toBe(0);
  });

  test.each<[string, Record<string, unknown>, number, RegExp]>([
    [
      'overlap',
      { a: f32([2], [0, 8]), b: f32([2], [4, 12]) },
      12,
      /"b": data_offsets: expected to begin at 8, got 4: overlaps/,
    ],
    ['hole', { a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12, /"b": .*begin at 4, got 8: bytes that belong to no/],
    ['out of range', { a: f32([4], [0, 16]) }, 12, /"a": .*within the file's 12 data bytes, got 16/],
    ['bytes left over', { a: f32([1], [0, 4]) }, 6, /expected 4 data bytes, got 6/],
    ['wrong byte count', { a: f32([3], [0, 8]) }, 8, /"a": data_offsets: expected 12 bytes for F32 \[3\], got 0…8 = 8/],
    ['backward offsets', { a: f32([1], [4, 0]) }, 4, /"a": data_offsets: expected 4 bytes/],
    ['negative offset', { a: f32([1], [-4, 0]) }, 4, /"a": data_offsets: expected two whole numbers/],
    ['one offset', { a: f32([1], [0]) }, 4, /"a": data_offsets: expected two whole numbers/],
    ['unknown dtype', { a: f32([1], [0, 4], 'F33') }, 4, /"a": dtype: expected one of BOOL.*got "F33"/],
    ['inherited name as dtype', { a: f32([1], [0, 4], 'toString') }, 4, /"a": dtype: expected one of/],
    ['negative shape', { a: f32([-1], [0, 4]) }, 4, /"a": shape: expected whole numbers from 0 up, got \[-1\]/],
    ['fractional shape', { a: f32([0.5], [0, 2]) }, 2, /"a": shape: expected whole numbers/],
    ['huge shape', { a: f32([2 ** 40, 2 ** 40], [0, 4]) }, 4, /"a": data_offsets: expected 4.8\d*e\+24 bytes/],
    ['no entry', { a: null }, 0, /"a": expected an object, got null/],
    ['metadata of numbers', { __metadata__: { steps: 5 } }, 0, /__metadata__\.steps: expected text, got 5/],
    ['metadata no object', { __metadata__: [] }, 0, /__metadata__: expected an object/],
  ])('%s', (_, header, dataBytes, message) => {
    fileOf(JSON.stringify(header), dataBytes);
    const reading = () => readSafetensorsHeader(path);
    expect(reading).toThrow(FileFormatError);
    expect(reading).toThrow(message);
    expect(reading).toThrow(path);
  });

  test.each<[string, () => void, RegExp]>([
    [
      '4 GB header length',
      () => fileOf('{}', 0, 2 ** 32),
      /header length: expected at most 100000000 bytes, got 4294967296/,
    ],
    [
      'truncated in the header',
      () => fileOf('{}', 0, 100),
      /truncated in the header: expected at least 108 bytes, got 10/,
    ],
    ['too short', () => writeFileSync(path, 'abc'), /expected at least 8 bytes, got 3/],
    ['not JSON', () => fileOf('{"a": ', 0), /header: expected a JSON object, got something else/],
    [
      'not UTF-8',
      () => writeFileSync(path, Buffer.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)),
      /header: expected a JSON object/,
    ],
    ['not an object', () => fileOf('[1]', 0), /header: expected a JSON object, got \[1\]/],
    [
      'a web page',
      () => writeFileSync(path, '<!doctype html><p>Not found</p>'),
      /header length: .*Check that this is a \.safet/s,
    ],
  ])('%s', (_, make, message) => {
    make();
    expect(() => readSafetensorsHeader(path)).toThrow(FileFormatError);
    expect(() => readSafetensorsHeader(path)).toThrow(message);
  });

  test('a missing file and a folder are named', () => {
    expect(() => readSafetensorsHeader(join(folder, 'none'))).toThrow(/none: cannot be read: there is no such file/);
    expect(() => readSafetensorsHeader(folder)).toThrow(/expected a file, got a folder/);
  });

  test('a file cut after its header was read is an error, not zeros', () => {
    fileOf(JSON.stringify({ a: f32([4], [0, 16]) }), 16);
    const ref = readSafetensorsHeader(path).tensors.get('a')!;
    writeFileSync(path, readFileSync(path).subarray(0, -3));
    expect(() => readTensorBytes(ref)).toThrow(/truncated: expected 16 bytes at \d+, got 13/);
    rmSync(path);
    expect(() => readTensorBytes(ref)).toThrow(/cannot be read/);
  });

  test('a tensor beyond 4 GiB of a sparse file is found and read', () => {
    const five = 5 * 2 ** 30;
    const header = JSON.stringify({ big: f32([five / 4], [0, five]), last: f32([1], [five, five + 4]) });
    fileOf(header, 0);
    const file = openSync(path, 'r+');
    ftruncateSync(file, 8 + header.length + five + 4);
    writeSync(file, Buffer.from(Float32Array.of(42).buffer), 0, 4, 8 + header.length + five);
    closeSync(file);
    const { tensors } = readSafetensorsHeader(path);
    expect(readTensorFloat32(tensors.get('last')!)).toEqual(Float32Array.of(42));
    rmSync(path);
  });
});

describe('what the writer refuses', () => {
  const write = (...tensors: TensorToWrite[]) => writeSafetensors(join(folder, 'bad.safetensors'), tensors);
  const one: TensorToWrite = { key: 'a', dtype: 'F32', shape: [1], data: Float32Array.of(1) };

  test.each<[string, TensorToWrite[], RegExp]>([
    ['a key twice', [one, one], /"a": expected each key once/],
    ['the reserved key', [{ ...one, key: '__metadata__' }], /reserved/],
    ['too few values', [{ ...one, shape: [2] }], /"a": expected 8 bytes for F32 \[2\], got 4/],
    ['a fractional side', [{ ...one, shape: [0.5] }], /"a": shape: expected whole numbers/],
    ['floats as integers', [{ ...one, dtype: 'I32' }], /a Float32Array is stored as F32, F16 or BF16, got I32/],
    ['integers as floats', [{ ...one, data: Int32Array.of(1) }], /an Int32Array is stored as I32, got F32/],
  ])('%s', async (_, tensors, message) => {
    await expect(write(...tensors)).rejects.toThrow(message);
    expect((await readdir(folder)).filter((name) => name.includes('bad'))).toEqual([]);
  });
});
