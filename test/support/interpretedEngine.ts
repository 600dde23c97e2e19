// An engine that runs plans by what their ops mean, in float64, and rounds every value to its type: what plain rounding after every op gives.
import { closeSync, openSync, readSync } from 'node:fs';
import type { Engine, Program, TensorArray, WeightForm, WeightSource } from '../../lib/addon/surface.js';
import { DTYPE_BYTES, type DType, elements, type Value } from '../../lib/graph/graph.js';
import { ops } from '../../lib/ops/index.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';
import { type DecodedCall, type DecodedTensor, decodePlan } from './decodePlan.js';
import { fromHalf, roundTo, toHalf } from './halfFloat.js';
import type { Tensor64 } from './interpreter.js';
import { meanings } from './meaning/index.js';

/** Values of tensors, by where they lie. */
type Memory = Map<string, Float64Array>;

interface Held {
  readonly weights: Memory;
  readonly states: Memory;
}

function arrayOf(bytes: ArrayBuffer, dtype: DType): TensorArray {
  if (dtype === 'f32') return new Float32Array(bytes);
  return dtype === 'i32' ? new Int32Array(bytes) : new Uint16Array(bytes);
}

function widened(values: TensorArray, dtype: DType): Float64Array {
  return Float64Array.from(values instanceof Uint16Array ? fromHalf(values, dtype) : values);
}

function bytesOf(values: Float64Array, dtype: DType): ArrayBuffer {
  if (dtype === 'f32') return new Float32Array(values).buffer;
  return dtype === 'i32' ? new Int32Array(values).buffer : new Uint16Array(toHalf(values, dtype)).buffer;
}

function readBytes(path: string, offset: number, length: number): ArrayBuffer {
  const bytes = new Uint8Array(length);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, length, offset);
  } finally {
    closeSync(file);
  }
  return bytes.buffer;
}

/** All parts of a weight, below each other. */
function sourceValues({ path, offset, dtype, shape, below = [] }: WeightSource): Float64Array {
  const [rows = 1, ...sizes] = shape;
  const own = rows - below.reduce((sum, part) => sum + part.rows, 0);
  const parts = [{ path, offset, rows: own }, ...below].map((part) => {
    const length = part.rows * elements(sizes) * DTYPE_BYTES[dtype];
    return widened(arrayOf(readBytes(part.path, part.offset, length), dtype), dtype);
  });
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

/** As the engine keeps it. */
function kept({ layout, shape, as, dtype }: WeightForm, values: Float64Array): Float64Array {
  const [o, i, h, w] = shape as [number, number, number, number];
  // a matrix in columns is a picture of i channels on a line
  const sides = layout === 'transposed' ? ([1, i, 1, o] as const) : ([o, i, h, w] as const);
  const isPlain = layout === undefined || layout === 'plain';
  const ordered = isPlain ? values : toChannelsLast(Float32Array.from(values), sides);
  return roundTo(Float64Array.from(ordered), as ?? dtype);
}

function programOf({ weights, states }: Held, encoded: Uint8Array): Program {
  const plan = decodePlan(encoded);
  const own: Memory = new Map();
  const placeOf = ({ place, offset }: DecodedTensor): string => `${place} ${offset}`;
  const stateOf = ({ buffer, offset, shape }: DecodedTensor): Float64Array => {
    const first = offset / DTYPE_BYTES.f32;
    return states.get(buffer)!.subarray(first, first + elements(shape));
  };
  const load = (tensor: DecodedTensor): Float64Array => {
    if (tensor.place === 'state') return stateOf(tensor);
    const values = tensor.place === 'weight' ? weights.get(tensor.buffer) : own.get(placeOf(tensor));
    if (values?.length !== elements(tensor.shape)) throw new Error(`'${tensor.name}' has no values`);
    return values;
  };
  const store = (tensor: DecodedTensor, values: Float64Array): void => {
    const rounded = roundTo(values, tensor.dtype);
    if (tensor.place === 'state') stateOf(tensor).set(rounded);
    else own.set(placeOf(tensor), rounded);
  };
  const call = ({ op, path, inputs, outputs, attrs }: DecodedCall): void => {
    const given = inputs.map((t): Tensor64 | null => t && { shape: t.shape, data: load(t) });
    // Of a value, meanings look at shape and type alone.
    const results = meanings[op]!(given, attrs, outputs as unknown as (Value | null)[]);
    const alias = ops.find(({ name }) => name === op)!.alias ?? {};
    outputs.forEach((output, i) => {
      const to = output ?? inputs[alias[i] ?? -1];
      if (!to) return;
      if (!results[i]) throw new Error(`${op}: its meaning gave no output ${i} (at ${path})`);
      store(to, results[i]);
    });
  };
  return {
    write: (input, values) => {
      const tensor = plan.inputs.get(input)!;
      store(tensor, widened(values, tensor.dtype));
    },
    read: (result) => {
      const tensor = plan.results.get(result)!;
      return bytesOf(load(tensor), tensor.dtype);
    },
    run: async () => {
      plan.calls.forEach(call);
      return { ms: 0 };
    },
    dispose: () => own.clear(),
  };
}

/** What it has is a reference, not an engine to use: no algorithms, no cancelling, no figures of memory. */
export function interpretedEngine(): Engine {
  const held: Held = { weights: new Map(), states: new Map() };
  return {
    loadWeights: async (sources) => {
      for (const source of sources) held.weights.set(source.name, kept(source, sourceValues(source)));
    },
    loading: () => ({ done: 0, total: 0 }),
    addWeight: (form, values) => void held.weights.set(form.name, kept(form, widened(values, form.dtype))),
    releaseWeights: (prefix) =>
      [...held.weights.keys()].filter((name) => name.startsWith(prefix) && held.weights.delete(name)).length,
    createState: (name, floats) => void held.states.set(name, new Float64Array(floats)),
    releaseState: (name) => void held.states.delete(name),
    writeState: (name, offset, values) => held.states.get(name)!.set(values, offset),
    readState: (name, offset, count) => Float32Array.from(held.states.get(name)!.subarray(offset, offset + count)),
    load: (plan) => programOf(held, plan),
    cancel: () => {},
    memory: () => ({ weights: 0, state: 0, arena: 0, io: 0, workspace: 0, peak: 0, free: Number.MAX_SAFE_INTEGER }),
    choices: () => '',
    useChoices: () => {},
    suggestChoices: () => {},
    dispose: () => {},
  };
}
