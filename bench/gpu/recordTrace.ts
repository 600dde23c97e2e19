// A vitest setup file: with TLORA_TRACE=FILE, everything that tests do with engines on a CUDA device (in practice the emulated one)
// is appended to FILE, with what they read back, for bench/gpu/replay.cpp to do again on a real one without Node.
// An engine's part of the file, little endian; a text is u32 length and bytes, a blob u64 length and bytes:
//   u8 1   engine: text title, u8 tf32
//   u8 2   addWeight: text name, u8 dtype, u8 flags (1 oihw, 2 matrix, 4 keep), u8 as (255: none), u8 rank, u64 sizes, blob
//   u8 3   releaseWeights: text prefix
//   u8 4   createState: text name, u64 floats;      u8 5  releaseState: text name
//   u8 6   writeState: text name, u64 offset, blob; u8 7  readState: the same, with what was read
//   u8 8   load: u32 program, blob plan;            u8 12 program.dispose: u32 program
//   u8 9   program.write: u32 program, text name, blob
//   u8 10  program.run: u32 program, u8 flags (1 check, 2 guard, 4 call by call, 8 queue)
//   u8 11  program.read: u32 program, text name, blob: what was read
//   u8 13  end
// Left out are engines of which some call failed (a failure is what their test is about), those that do what another did before, and those
// that hold more than TLORA_TRACE_MOST bytes (default 1 MB).
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, openSync, readSync } from 'node:fs';
import { expect } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, EngineOptions, Program, WeightForm, WeightSource } from '../../lib/addon/surface.js';
import { DTYPE_BYTES } from '../../lib/graph/graph.js';

const DTYPES = ['f32', 'f16', 'bf16', 'i32'];

const byte = (...values: number[]): Uint8Array => Uint8Array.from(values);
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string): Uint8Array => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)]);
const blob = (value: ArrayBufferView): Uint8Array =>
  Buffer.concat([u64(value.byteLength), new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]);

function weightHead({ name, dtype, shape, layout, matrix, keep, as }: WeightForm): Uint8Array[] {
  const flags = (layout === 'oihw' ? 1 : 0) + (matrix ? 2 : 0) + (keep ? 4 : 0);
  const head = byte(DTYPES.indexOf(dtype), flags, as === undefined ? 255 : DTYPES.indexOf(as), shape.length);
  return [byte(2), text(name), head, ...shape.map(u64)];
}

function fileBytes({ path, offset, dtype, shape, below = [] }: WeightSource): Uint8Array {
  const bytes = new Uint8Array(shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]));
  const rows = (shape[0] ?? 1) - below.reduce((sum, part) => sum + part.rows, 0);
  let at = 0;
  for (const part of [{ path, offset, rows }, ...below]) {
    const length = (bytes.length / (shape[0] ?? 1)) * part.rows;
    const file = openSync(part.path, 'r');
    readSync(file, bytes, at, length, part.offset);
    closeSync(file);
    at += length;
  }
  return bytes;
}

const MOST_BYTES = Number(process.env.TLORA_TRACE_MOST ?? 1e6);
const seen = new Set<string>();

function append(file: string, part: Uint8Array): void {
  const hash = createHash('sha256').update(part).digest('hex');
  if (part.length <= MOST_BYTES && !seen.has(hash)) appendFileSync(file, part);
  seen.add(hash);
}

/** An engine that does what the other does, and notes it. */
function traced(engine: Engine, options: EngineOptions, file: string): Engine {
  const parts: Uint8Array[] = [byte(1), text(expect.getState().currentTestName ?? ''), byte(options.tf32 ? 1 : 0)];
  let [programs, spoilt, ended] = [0, false, false];
  const noted = <T>(result: () => T, note: (result: T) => Uint8Array[]): T => {
    try {
      const value = result();
      parts.push(...note(value));
      return value;
    } catch (error) {
      spoilt = true;
      throw error;
    }
  };
  const tracedProgram = (program: Program, id: number): Program => ({
    write: (name, values) =>
      noted(
        () => program.write(name, values),
        () => [byte(9), u32(id), text(name), blob(values)],
      ),
    read: (name) =>
      noted(
        () => program.read(name),
        (bytes) => [byte(11), u32(id), text(name), blob(new Uint8Array(bytes))],
      ),
    run: async (run = {}) => {
      const flags = (run.check ? 1 : 0) + (run.guard ? 2 : 0) + (run.record === false ? 4 : 0) + (run.queue ? 8 : 0);
      parts.push(byte(10), u32(id), byte(flags));
      return program.run(run).catch((error: unknown) => {
        spoilt = true;
        throw error;
      });
    },
    dispose: () =>
      noted(
        () => program.dispose(),
        () => [byte(12), u32(id)],
      ),
  });
  return {
    ...engine,
    loadWeights: async (weights) => {
      await engine.loadWeights(weights);
      for (const weight of weights) parts.push(...weightHead(weight), blob(fileBytes(weight)));
    },
    addWeight: (form, values) =>
      noted(
        () => engine.addWeight(form, values),
        () => [...weightHead(form), blob(values)],
      ),
    releaseWeights: (prefix) =>
      noted(
        () => engine.releaseWeights(prefix),
        () => [byte(3), text(prefix)],
      ),
    createState: (name, floats) =>
      noted(
        () => engine.createState(name, floats),
        () => [byte(4), text(name), u64(floats)],
      ),
    releaseState: (name) =>
      noted(
        () => engine.releaseState(name),
        () => [byte(5), text(name)],
      ),
    writeState: (name, offset, values) =>
      noted(
        () => engine.writeState(name, offset, values),
        () => [byte(6), text(name), u64(offset), blob(values)],
      ),
    readState: (name, offset, count) =>
      noted(
        () => engine.readState(name, offset, count),
        (values) => [byte(7), text(name), u64(offset), blob(values)],
      ),
    load: (plan) => {
      const id = programs++;
      const program = noted(
        () => engine.load(plan),
        () => [byte(8), u32(id), blob(plan)],
      );
      return tracedProgram(program, id);
    },
    dispose: () => {
      engine.dispose();
      if (!spoilt && !ended) append(file, Buffer.concat([...parts, byte(13)]));
      ended = true;
    },
  };
}

const file = process.env.TLORA_TRACE;
if (file !== undefined) {
  const addon = loadAddon();
  const create = addon.createEngine;
  addon.createEngine = (options) => {
    const engine = create(options);
    return options.device?.startsWith('cuda') ? traced(engine, options, file) : engine;
  };
}
