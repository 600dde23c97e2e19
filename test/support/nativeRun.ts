// Small graphs on the real engine, and every kernel against its float64 meaning.
import { expect } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, Program, TensorArray } from '../../lib/addon/surface.js';
import {
  byteLength,
  createGraph,
  type DType,
  elements,
  type Graph,
  input,
  result,
  type Value,
  weight,
} from '../../lib/graph/graph.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan } from '../../lib/plan/plan.js';
import { grad } from '../../lib/transform/grad.js';
import { fromHalf, toHalf } from './halfFloat.js';
import { interpret } from './interpreter.js';
import { pseudoRandom } from './pseudoRandom.js';

export interface NativeRunOptions {
  /** Default 1. */
  threads?: number;
}

/** The bits of `values` in an array of `dtype`. */
export function toArray(values: ArrayLike<number>, dtype: DType): TensorArray {
  if (dtype === 'f32') return Float32Array.from(values);
  return dtype === 'i32' ? Int32Array.from(values) : toHalf(values, dtype);
}

function fromArray(bytes: ArrayBuffer, dtype: DType): Float32Array {
  if (dtype === 'f32') return new Float32Array(bytes);
  return dtype === 'i32' ? Float32Array.from(new Int32Array(bytes)) : fromHalf(new Uint16Array(bytes), dtype);
}

function bindLeaves(engine: Engine, plan: Plan, leaves: ReadonlyMap<Value, Float64Array>): void {
  for (const [name, bytes] of plan.stateBytes) engine.createState(name, bytes / 4);
  for (const { value, matrix, buffer, place, offset } of plan.tensors) {
    const data = leaves.get(value);
    if (!data) continue;
    if (place === 'weight') {
      const form = { name: buffer!, dtype: value.dtype, shape: value.shape, matrix, keep: !matrix };
      engine.addWeight(form, toArray(data, value.dtype));
    }
    if (place === 'state') engine.writeState(buffer!, offset / 4, Float32Array.from(data));
  }
}

function writeInputs(program: Program, plan: Plan, leaves: ReadonlyMap<Value, Float64Array>): void {
  for (const [name, { value }] of plan.inputs) {
    const data = leaves.get(value);
    if (!data) throw new Error(`no values for input '${name}'`);
    program.write(name, toArray(data, value.dtype));
  }
}

/** Changed state slices, read back by the names of their leaves as `after <name>`. */
function readStates(engine: Engine, plan: Plan, into: Map<string, Float32Array>): void {
  for (const { value, place, buffer, offset } of plan.tensors) {
    if (place !== 'state' || value.leaf?.kind !== 'state') continue;
    into.set(`after ${value.name}`, engine.readState(buffer!, offset / 4, byteLength(value) / 4));
  }
}

/**
 * Plans, encodes and runs a graph, with every write of a kernel checked (RunOptions.guard): memory that a call may write is
 * NaN before it, and nothing else may change. Weights are packed where their op reads matrices.
 * @param leaves values of inputs, weights (rounded to their dtype) and state slices
 * @returns the graph's results by name, and state leaves after the run as `after <name>`
 */
export async function runNative(
  graph: Graph,
  leaves: ReadonlyMap<Value, Float64Array>,
  options: NativeRunOptions = {},
): Promise<Map<string, Float32Array>> {
  const threads = options.threads ?? 1;
  const plan = makePlan(graph, threads);
  const engine = loadAddon().createEngine({ threads });
  try {
    bindLeaves(engine, plan, leaves);
    const program = engine.load(encodePlan(plan));
    writeInputs(program, plan, leaves);
    await program.run({ guard: true });
    const results = new Map<string, Float32Array>();
    for (const [name, { value }] of plan.results) results.set(name, fromArray(program.read(name), value.dtype));
    readStates(engine, plan, results);
    return results;
  } finally {
    engine.dispose();
  }
}

export interface KernelCase {
  /** Shapes of inputs, by name; their values are standard normal. */
  inputs: Record<string, readonly number[]>;
  /** Inputs with given values and no gradient (ids, ranks, keys). */
  fixed?: Record<string, { shape: readonly number[]; values: readonly number[]; dtype?: 'i32' | 'f32' }>;
  /** Inputs (names in `inputs`) that are frozen weights of this type instead: packed where the op reads matrices, no gradient. */
  weights?: Record<string, DType>;
  /** Builds the op under test. All values it returns are compared; gradients start from the first. */
  build: (values: Record<string, Value>) => Value | readonly Value[];
  /** Also compare the gradients of all `inputs` that are not weights (default true if the op has a gradient rule). */
  backward?: boolean;
  /** Spread of the random values (default 1). */
  spread?: number;
  /**
   * Bound on ‖native − float64‖ / ‖float64‖ per tensor. Default 2e-6: float32 keeps 6e-8 per operation, and the rounding errors of
   * a sum of n terms add up like √n in norm, so 2e-6 is reached by sums of about a thousand terms.
   */
  tolerance?: number;
  seed?: number;
}

/** Rounds values to what the engine will hold. */
function rounded(values: Float64Array, dtype: DType): Float64Array {
  if (dtype === 'i32') return values;
  if (dtype === 'f32') return Float64Array.from(Float32Array.from(values));
  return Float64Array.from(fromHalf(toHalf(values, dtype), dtype));
}

interface BuiltCase {
  graph: Graph;
  leaves: Map<Value, Float64Array>;
  compared: Map<string, Value>;
}

function buildCase(testCase: KernelCase): BuiltCase {
  const random = pseudoRandom(testCase.seed ?? 1);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  const trained: string[] = [];
  for (const [name, shape] of Object.entries(testCase.inputs)) {
    const stored = testCase.weights?.[name];
    const value = stored ? weight(graph, name, shape, stored) : input(graph, name, shape);
    if (!stored) trained.push(name);
    const data = Float64Array.from({ length: elements(shape) }, () => random.normal() * (testCase.spread ?? 1));
    values[name] = value;
    leaves.set(value, rounded(data, value.dtype));
  }
  for (const [name, fixed] of Object.entries(testCase.fixed ?? {})) {
    const value = input(graph, name, fixed.shape, fixed.dtype ?? 'f32');
    values[name] = value;
    leaves.set(value, rounded(Float64Array.from(fixed.values), value.dtype));
  }
  const built = testCase.build(values);
  const outputs = Array.isArray(built) ? (built as readonly Value[]) : [built as Value];
  const compared = new Map(outputs.map((value, i) => [i === 0 ? value.name : `${value.name} (output ${i})`, value]));
  const y = outputs[0]!;
  if (testCase.backward ?? y.node?.op.vjp !== undefined) {
    const seed = input(graph, 'gradient of the output', y.shape);
    leaves.set(
      seed,
      rounded(
        Float64Array.from({ length: elements(y.shape) }, () => random.normal()),
        'f32',
      ),
    );
    const gradients = grad(
      y,
      seed,
      trained.map((name) => values[name]!),
    );
    gradients.forEach((gradient, i) => {
      if (gradient) compared.set(`gradient of ${trained[i]}`, gradient);
    });
  }
  for (const [name, value] of compared) result(graph, name, value);
  return { graph, leaves, compared };
}

/** ‖got − expected‖ / ‖expected‖; the absolute norm where the expected values are all 0. */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(size === 0 ? difference : difference / size);
}

/**
 * Runs an op, and its gradient, on the engine and in float64, and fails unless every output agrees; with 1, 2 and 3 threads,
 * twice each: two runs must give the same bits, and no kernel may write outside its outputs and scratch.
 */
export async function checkKernel(testCase: KernelCase): Promise<void> {
  const { graph, leaves, compared } = buildCase(testCase);
  const expected = interpret(graph, leaves);
  for (const threads of [1, 2, 3]) {
    const first = await runNative(graph, leaves, { threads });
    const second = await runNative(graph, leaves, { threads });
    for (const [name, value] of compared) {
      const got = first.get(name)!;
      const error = relativeError(got, expected.get(value)!);
      expect(error, `${name} [${value.shape}] with ${threads} threads: relative error`).toBeLessThanOrEqual(
        testCase.tolerance ?? 2e-6,
      );
      const same = Buffer.from(got.buffer).equals(Buffer.from(second.get(name)!.buffer));
      expect(same, `${name} with ${threads} threads: a second run gives the same bits`).toBe(true);
    }
  }
}
