import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, WeightSource } from '../../lib/addon/surface.js';
import {
  createGraph,
  type DType,
  elements,
  type Graph,
  input,
  result,
  type Value,
  weight,
} from '../../lib/graph/graph.js';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../lib/io/halfFloat.js';
import { add } from '../../lib/ops/add.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { embedding } from '../../lib/ops/embedding.js';
import { linear } from '../../lib/ops/linear.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { relativeError } from '../support/checkKernel.js';
import { fromHalf, roundTo, toHalf } from '../support/halfFloat.js';
import { interpret } from '../support/interpreter.js';
import { toArray } from '../support/nativeRun.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

let engine: Engine;
let folder: string;
beforeEach(() => {
  engine = loadAddon().createEngine({ threads: 2 });
  folder = mkdtempSync(join(tmpdir(), 'tlora-weights-'));
});
afterEach(() => {
  engine.dispose();
  rmSync(folder, { recursive: true });
});

const random = pseudoRandom(3);
const normal = (n: number): Float64Array => Float64Array.from({ length: n }, () => random.normal());

/** Writes tensors one after the other into a file, behind eight bytes of something else. */
function writeWeights(
  tensors: { name: string; dtype: DType; shape: number[]; values: ArrayLike<number> }[],
): WeightSource[] {
  const path = join(folder, 'weights.bin');
  const parts: Uint8Array[] = [new Uint8Array(8)];
  let offset = 8;
  const sources = tensors.map(({ name, dtype, shape, values }) => {
    const array = toArray(values, dtype);
    parts.push(new Uint8Array(array.buffer));
    offset += array.byteLength;
    return { name, path, dtype, shape, offset: offset - array.byteLength };
  });
  writeFileSync(path, Buffer.concat(parts));
  return sources;
}

async function runOn(graph: Graph, x: Value, data: Float64Array): Promise<Float32Array> {
  const program = engine.load(encodePlan(makePlan(graph, 2)));
  program.write(x.name, Float32Array.from(data));
  await program.run();
  return new Float32Array(program.read('y'));
}

/** [o, kh, kw, i] in the order of files, [o, i, kh, kw]. */
function toOihw(w: Float64Array, [o, kh, kw, i]: [number, number, number, number]): Float64Array {
  const out = new Float64Array(w.length);
  for (let a = 0; a < o; a++) {
    for (let tap = 0; tap < kh * kw; tap++) {
      for (let c = 0; c < i; c++) out[(a * i + c) * kh * kw + tap] = w[(a * kh * kw + tap) * i + c]!;
    }
  }
  return out;
}

for (const dtype of ['f32', 'f16', 'bf16'] as const) {
  test(`linear and convolution weights from a ${dtype} file are packed in their order`, async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [1, 3, 4, 5]);
    const w = weight(graph, 'conv.weight', [19, 3, 2, 5], dtype);
    const v = weight(graph, 'linear.weight', [33, 19], dtype);
    const b = weight(graph, 'linear.bias', [33], 'f32');
    result(graph, 'y', linear(conv2d(x, w, null, { pad: 1 }), v, b));
    const leaves = new Map<Value, Float64Array>();
    for (const leaf of [x, w, v, b]) {
      const data = normal(elements(leaf.shape));
      const stored = leaf === x || dtype === 'f32' ? Float32Array.from(data) : fromHalf(toHalf(data, dtype), dtype);
      leaves.set(leaf, Float64Array.from(stored));
    }
    const [conv, lin, bias] = writeWeights([
      { name: 'conv.weight', dtype, shape: [19, 5, 3, 2], values: toOihw(leaves.get(w)!, [19, 3, 2, 5]) },
      { name: 'linear.weight', dtype, shape: [33, 19], values: leaves.get(v)! },
      { name: 'linear.bias', dtype, shape: [33], values: leaves.get(b)! },
    ]);
    await engine.loadWeights([{ ...conv!, layout: 'oihw', matrix: true }, { ...lin!, matrix: true }, bias!]);
    const expected = interpret(graph, leaves).get(graph.results.get('y')!)!;
    expect(relativeError(await runOn(graph, x, leaves.get(x)!), expected)).toBeLessThan(1e-6);
    const bytes = dtype === 'f32' ? 4 : 2;
    expect(engine.memory().weights).toBe((32 * 30 + 48 * 19) * bytes + 33 * 4); // rows padded to panels of 16
    expect(engine.loading()).toEqual({
      done: (19 * 30 + 33 * 19 + 33) * bytes,
      total: (19 * 30 + 33 * 19 + 33) * bytes,
    });
  });
}

test('a 1x1 convolution weight of a file serves a linear layer', async () => {
  const graph = createGraph();
  const x = input(graph, 'x', [2, 3]);
  result(graph, 'y', linear(x, weight(graph, 'w', [4, 3], 'f32'), null));
  const [w] = writeWeights([{ name: 'w', dtype: 'f32', shape: [4, 3, 1, 1], values: Array(12).fill(1) }]);
  await engine.loadWeights([{ ...w!, layout: 'oihw', matrix: true }]);
  expect(await runOn(graph, x, Float64Array.of(1, 2, 3, 4, 5, 6))).toEqual(Float32Array.of(6, 6, 6, 6, 15, 15, 15, 15));
});

for (const [dtype, as] of [
  ['f32', undefined],
  ['f16', undefined],
  ['f16', 'bf16'],
] as const) {
  test(`a ${dtype} matrix that is stored transposed is kept in its own order${as ? `, as ${as}` : ''}`, async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 19]);
    const w = weight(graph, 'w', [37, 19], as ?? dtype);
    result(graph, 'y', linear(x, w, null));
    const stored = roundTo(normal(37 * 19), dtype); // [19, 37]
    const values = Float64Array.from(stored, (_, at) => stored[(at % 19) * 37 + Math.floor(at / 19)]!);
    const [source] = writeWeights([{ name: 'w', dtype, shape: [37, 19], values: stored }]);
    await engine.loadWeights([{ ...source!, layout: 'transposed', matrix: true, ...(as && { as }) }]);
    const data = normal(2 * 19);
    const leaves = new Map([
      [x, data],
      [w, roundTo(values, as ?? dtype)],
    ]);
    const expected = interpret(graph, leaves).get(graph.results.get('y')!)!;
    expect(relativeError(await runOn(graph, x, data), expected)).toBeLessThan(1e-6);
  });
}

for (const dtype of ['f32', 'f16'] as const) {
  test(`${dtype} values that begin at an odd byte of the file are read all the same`, async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 5]);
    const [w, b] = [weight(graph, 'w', [3, 5], dtype), weight(graph, 'b', [3], 'f32')];
    result(graph, 'y', linear(x, w, b));
    const [values, biases, data] = [roundTo(normal(15), dtype), roundTo(normal(3), dtype), normal(10)];
    const sources = writeWeights([
      { name: 'w', dtype, shape: [3, 5], values },
      { name: 'b', dtype, shape: [3], values: biases },
    ]);
    const { path } = sources[0]!;
    writeFileSync(path, Buffer.concat([Buffer.alloc(1), readFileSync(path)]));
    const [odd, oddBias] = sources.map((source) => ({ ...source, offset: source.offset + 1 }));
    await engine.loadWeights([{ ...odd!, matrix: true }, oddBias!]);
    const leaves = new Map([
      [x, data],
      [w, values],
      [b, biases],
    ]);
    const expected = interpret(graph, leaves).get(graph.results.get('y')!)!;
    expect(relativeError(await runOn(graph, x, data), expected)).toBeLessThan(1e-6);
  });
}

test('half-precision extremes widen exactly', async () => {
  const graph = createGraph();
  const x = input(graph, 'x', [6]);
  result(graph, 'y', add(x, weight(graph, 'w', [6], 'f32')));
  const bits = Uint16Array.of(0x0001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x8000);
  engine.addWeight({ name: 'w', dtype: 'f16', shape: [6] }, bits);
  expect(await runOn(graph, x, new Float64Array(6))).toEqual(
    Float32Array.of(2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504, -65504, 0),
  );
});

test('releasing by prefix gives memory back, and a program that needs the weight says so', async () => {
  const graph = createGraph();
  const x = input(graph, 'x', [1 << 20]);
  result(graph, 'y', add(x, weight(graph, 'vae/w', [1 << 20], 'f32')));
  for (const name of ['vae/w', 'vae/v', 'unet/w']) {
    engine.addWeight({ name, dtype: 'f32', shape: [1 << 20] }, new Float32Array(1 << 20).fill(1));
  }
  const program = engine.load(encodePlan(makePlan(graph, 2)));
  program.write('x', new Float32Array(1 << 20));
  const resident = process.memoryUsage.rss();
  expect(engine.releaseWeights('vae/')).toBe(2);
  expect(engine.memory().weights).toBe(4 << 20);
  expect(resident - process.memoryUsage.rss()).toBeGreaterThan(7 << 20);
  await expect(program.run()).rejects.toThrow("weight 'vae/w' is not loaded");
  engine.addWeight({ name: 'vae/w', dtype: 'f32', shape: [1 << 20] }, new Float32Array(1 << 20).fill(3));
  await program.run();
  expect(new Float32Array(program.read('y')).every((v) => v === 3)).toBe(true);
});

test('a file that is missing, too short, or a folder', async () => {
  const [w] = writeWeights([{ name: 'w', dtype: 'f32', shape: [4], values: [1, 2, 3, 4] }]);
  const code = { code: 'ERR_TLORA_FILE_FORMAT' };
  await expect(engine.loadWeights([{ ...w!, path: join(folder, 'none') }])).rejects.toMatchObject(code);
  await expect(engine.loadWeights([{ ...w!, path: folder }])).rejects.toMatchObject(code);
  await expect(engine.loadWeights([{ ...w!, shape: [5] }])).rejects.toThrow(
    'weight w: 20 bytes at 8, but the file has only 24',
  );
  await expect(engine.loadWeights([{ ...w!, shape: [2 ** 50, 2 ** 50] }])).rejects.toMatchObject(code);
  await expect(engine.loadWeights([{ ...w!, layout: 'oihw' }])).rejects.toThrow(
    'a convolution weight has 4 sizes, got 1',
  );
  await engine.loadWeights([w!]);
  expect(engine.memory().weights).toBe(16);
});

test('loading can be cancelled, and what was loaded before stays usable', async () => {
  const values = new Float32Array(1 << 20);
  const sources = writeWeights([{ name: 'w', dtype: 'f32', shape: [1 << 20], values }]);
  const many = Array.from({ length: 200 }, (_, i) => ({
    ...sources[0]!,
    name: `w${i}`,
    shape: [1024, 1024],
    matrix: true,
  }));
  const loading = engine.loadWeights(many);
  engine.cancel();
  await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
  await engine.loadWeights([sources[0]!]);
  expect(engine.memory().weights).toBeGreaterThanOrEqual(4 << 20);
});

test('data given in memory must fit its type and shape', () => {
  const form = { name: 'w', dtype: 'f16', shape: [4] } as const;
  expect(() => engine.addWeight(form, new Uint16Array(3))).toThrow('weight w: expected 8 bytes, got 6');
  expect(() => engine.addWeight(form, new Float32Array(4))).toThrow('expected a Uint16Array for f16');
  expect(() => engine.addWeight({ ...form, shape: [0] }, new Uint16Array(0))).toThrow('size 0 is out of range');
});

const HARD = [
  ...[0, -0, 1, -1, 1 + 2 ** -8, 1 + 3 * 2 ** -9, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, -65536, 3e38, 1e-40],
  ...[2 ** -14, 2 ** -24, 2 ** -25, 3 * 2 ** -25, -(2 ** -15) * (1 + 2 ** -10), Number.POSITIVE_INFINITY],
  ...Array.from({ length: 200 }, () => random.normal() * 2 ** Math.round(20 * random.normal())),
];

function rounded(values: Float32Array, dtype: 'f32' | 'f16' | 'bf16'): Float32Array {
  if (dtype === 'f32') return values;
  return dtype === 'f16' ? float16ToFloat32(float32ToFloat16(values)) : bfloat16ToFloat32(float32ToBfloat16(values));
}

for (const from of ['f32', 'f16', 'bf16'] as const) {
  for (const as of ['f32', 'f16', 'bf16'] as const) {
    test(`weights from a ${from} file are kept as ${as}, rounded to nearest even`, async () => {
      const stored = rounded(Float32Array.from(HARD), from);
      const expected = rounded(stored, as);
      const count = HARD.length;
      const graph = createGraph();
      const ids = input(graph, 'ids', [1, count], 'i32');
      result(graph, 'y', embedding(ids, weight(graph, 'table', [count, 1], as)));
      const path = join(folder, 'table.bin');
      const narrow = { f32: stored, f16: float32ToFloat16(stored), bf16: float32ToBfloat16(stored) }[from];
      writeFileSync(path, new Uint8Array(narrow.buffer, narrow.byteOffset, narrow.byteLength));
      const table = { name: 'table', path, offset: 0, dtype: from, shape: [count, 1] };
      await engine.loadWeights([{ ...table, as }]);
      expect(engine.memory().weights).toBe(count * (as === 'f32' ? 4 : 2));
      const program = engine.load(encodePlan(makePlan(graph, 2)));
      program.write(
        'ids',
        Int32Array.from({ length: count }, (_, i) => i),
      );
      await program.run();
      expect(new Float32Array(program.read('y'))).toEqual(expected);
    });
  }
}

test('a packed weight is converted too', async () => {
  const graph = createGraph();
  const x = input(graph, 'x', [3, 5]);
  const w = weight(graph, 'w', [7, 5], 'bf16');
  result(graph, 'y', linear(x, w, null));
  const [values, data] = [normal(35), normal(15)];
  const [source] = writeWeights([{ name: 'w', dtype: 'f32', shape: [7, 5], values }]);
  await engine.loadWeights([{ ...source!, matrix: true, as: 'bf16' }]);
  const narrow = Float64Array.from(fromHalf(toHalf(values, 'bf16'), 'bf16'));
  const expected = interpret(
    graph,
    new Map([
      [x, data],
      [w, narrow],
    ]),
  ).get(graph.results.get('y')!)!;
  expect(relativeError(await runOn(graph, x, data), expected)).toBeLessThan(1e-6);
});

for (const as of [undefined, 'bf16'] as const) {
  test(`rows of several tensors are one weight${as ? ', converted' : ''}`, async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 5]);
    const w = weight(graph, 'w', [29, 5], as ?? 'f16');
    const b = weight(graph, 'b', [29], 'f32');
    result(graph, 'y', linear(x, w, b));
    const parts = [7, 18, 4].map((rows, i) => ({
      name: `w${i}`,
      dtype: 'f16' as const,
      shape: [rows, 5],
      values: normal(5 * rows),
    }));
    const biases = [7, 18, 4].map((rows, i) => ({
      name: `b${i}`,
      dtype: 'f32' as const,
      shape: [rows],
      values: normal(rows),
    }));
    const sources = writeWeights([biases[1]!, biases[2]!, biases[0]!, parts[2]!, parts[0]!, parts[1]!]);
    const joined = (name: string, tensors: { name: string; shape: number[] }[]): WeightSource => {
      const [first, ...below] = tensors.map(({ name }) => sources.find((source) => source.name === name)!);
      const [, ...sizes] = first!.shape;
      return {
        ...first!,
        name,
        shape: [29, ...sizes],
        below: below.map(({ path, offset, shape }) => ({ path, offset, rows: shape[0]! })),
      };
    };
    const matrix = { ...joined('w', parts), matrix: true, ...(as && { as }) };
    await engine.loadWeights([matrix, joined('b', biases)]);
    expect(engine.memory().weights).toBe(2 * 32 * 5 + 4 * 29);
    expect(engine.loading()).toEqual({ done: 29 * (2 * 5 + 4), total: 29 * (2 * 5 + 4) });
    const stored = fromHalf(
      toHalf(
        parts.flatMap(({ values }) => [...values]),
        'f16',
      ),
      'f16',
    );
    const values = as ? fromHalf(toHalf(stored, as), as) : stored;
    const data = normal(10);
    const leaves = new Map([
      [x, data],
      [w, Float64Array.from(values)],
      [b, Float64Array.from(Float32Array.from(biases.flatMap(({ values }) => [...values])))],
    ]);
    const expected = interpret(graph, leaves).get(graph.results.get('y')!)!;
    expect(relativeError(await runOn(graph, x, data), expected)).toBeLessThan(1e-6);
  });
}

test('rows that do not fit are refused', async () => {
  const [a, b] = writeWeights([
    { name: 'a', dtype: 'f32', shape: [2, 3], values: Array(6).fill(1) },
    { name: 'b', dtype: 'f32', shape: [2, 3], values: Array(6).fill(2) },
  ]);
  const below = (rows: number, offset = b!.offset) => [{ path: b!.path, offset, rows }];
  await expect(engine.loadWeights([{ ...a!, below: below(2) }])).rejects.toThrow(
    'weight a: 2 rows below others do not fit its shape',
  );
  await expect(engine.loadWeights([{ ...a!, shape: [4, 3], below: below(2, b!.offset + 4) }])).rejects.toThrow(
    'weight a: 24 bytes at 36, but the file has only 56',
  );
  await expect(engine.loadWeights([{ ...a!, layout: 'transposed', shape: [4, 3], below: below(2) }])).rejects.toThrow(
    'weight a: a transposed weight is one matrix, got 2 sizes',
  );
  await expect(engine.loadWeights([{ ...a!, layout: 'transposed', shape: [6] }])).rejects.toThrow(
    'weight a: a transposed weight is one matrix, got 1 sizes',
  );
  const layout = 'columns' as 'plain'; // which the types forbid
  expect(() => engine.loadWeights([{ ...a!, layout }])).toThrow('expected plain, oihw or transposed, got columns');
});
