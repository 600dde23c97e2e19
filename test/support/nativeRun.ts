// Small graphs on the real engine: on the CPU, or on a CUDA device with TLORA_TEST_DEVICE=cuda (TLORA_CUDA_LIBRARY may name the
// backend's library, such as the emulated one of scripts/emulate-cuda.mjs).
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, Program, TensorArray } from '../../lib/addon/surface.js';
import { byteLength, type DType, type Graph, type Value } from '../../lib/graph/graph.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan } from '../../lib/plan/plan.js';
import { CUDA_WORKSPACE_BYTES, type Target } from '../../lib/plan/target.js';
import { fromHalf, toHalf } from './halfFloat.js';

/** What tests run on: `cpu`, or `cuda:N`. */
export function testDevice(): string {
  const wanted = process.env.TLORA_TEST_DEVICE ?? 'cpu';
  return wanted === 'cuda' ? 'cuda:0' : wanted;
}

export const onCuda: boolean = testDevice() !== 'cpu';

/** Whether kernels are emulated with every access checked: one thread after the other, always in the same order. */
export const emulated: boolean = onCuda && process.env.TLORA_EMULATE_CHECK === '1';

/** What plans for the tests' device are made for. */
export function testTarget(threads: number): Target {
  return onCuda ? { device: 'cuda', threads, workspaceBytes: CUDA_WORKSPACE_BYTES } : threads;
}

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
  const plan = makePlan(graph, testTarget(threads));
  const engine = loadAddon().createEngine({ threads, device: testDevice() });
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
