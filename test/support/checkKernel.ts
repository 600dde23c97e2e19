// Every kernel against its float64 meaning.
import { expect } from 'vitest';
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
import { grad } from '../../lib/transform/grad.js';
import { roundTo } from './halfFloat.js';
import { interpret, type Meaning } from './interpreter.js';
import { emulated, onCuda, runNative, testDevice } from './nativeRun.js';
import { pseudoRandom } from './pseudoRandom.js';

export interface KernelCase {
  /** Shapes of inputs, by name; their values are standard normal. */
  inputs: Record<string, readonly number[]>;
  /** Inputs with given values and no gradient (ids, ranks, keys). */
  fixed?: Record<string, { shape: readonly number[]; values: readonly number[]; dtype?: 'i32' | 'f32' }>;
  /**
   * Inputs (names in `inputs`) that are frozen weights of this type instead: packed where the op reads matrices, no gradient. On a
   * CUDA device matrices have the type of the activations, with values that this type holds.
   */
  weights?: Record<string, DType>;
  /** Inputs that are f32 whatever the type of the activations: statistics, factors of adapters. */
  float32?: readonly string[];
  /** false: the op computes in f32 alone, so that there is no case in bf16 and f16. */
  half?: false;
  /** In half precision, of ops that keep intermediate results in it: values that may be off by more than rounding once allows. */
  rounded?: RoundedWithin;
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

export interface RoundedWithin {
  /** Names of such values, as `y`, `h (output 1)`, `gradient of x`. All others keep the bound of exact ops whose results are rounded. */
  of: RegExp;
  /** What their bound is taken from: what the ops give when those intermediate results are rounded, by name of the op. */
  meanings: (compute: DType) => Record<string, Meaning>;
}

interface BuiltCase {
  graph: Graph;
  leaves: Map<Value, Float64Array>;
  compared: Map<string, Value>;
}

/** `compute`: the type of activations, and on a CUDA device of weights. */
function buildCase(testCase: KernelCase, compute: DType): BuiltCase {
  const random = pseudoRandom(testCase.seed ?? 1);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  const trained: string[] = [];
  for (const [name, shape] of Object.entries(testCase.inputs)) {
    const stored = testCase.weights?.[name];
    const dtype = testCase.float32?.includes(name) ? 'f32' : compute;
    const value = stored ? weight(graph, name, shape, onCuda ? compute : stored) : input(graph, name, shape, dtype);
    if (!stored) trained.push(name);
    const data = Float64Array.from({ length: elements(shape) }, () => random.normal() * (testCase.spread ?? 1));
    values[name] = value;
    leaves.set(value, roundTo(stored ? roundTo(data, stored) : data, value.dtype));
  }
  for (const [name, fixed] of Object.entries(testCase.fixed ?? {})) {
    const value = input(graph, name, fixed.shape, fixed.dtype ?? 'f32');
    values[name] = value;
    leaves.set(value, roundTo(Float64Array.from(fixed.values), value.dtype));
  }
  const built = testCase.build(values);
  const outputs = Array.isArray(built) ? (built as readonly Value[]) : [built as Value];
  const compared = new Map(outputs.map((value, i) => [i === 0 ? value.name : `${value.name} (output ${i})`, value]));
  const y = outputs[0]!;
  if (testCase.backward ?? y.node?.op.vjp !== undefined) {
    const seed = input(graph, 'gradient of the output', y.shape, y.dtype);
    const seeds = Float64Array.from({ length: elements(y.shape) }, () => random.normal());
    leaves.set(seed, roundTo(seeds, y.dtype));
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

/** The most that a tensor of a case may be off, in the precision of `compute`. */
type Bound = (value: Value, name: string) => number;

/**
 * In half precision: twice the error of the float64 meaning that rounds to each value's type after every op (of the values that the case
 * names: and within ops), or, where that is exact, the bound of float32.
 */
function boundOf(
  testCase: KernelCase,
  { graph, leaves }: BuiltCase,
  exact: Map<Value, Float64Array>,
  compute: DType,
): Bound {
  const single = testCase.tolerance ?? 2e-6;
  if (compute === 'f32') return () => single;
  const { rounded } = testCase;
  const plain = (replaced?: Record<string, Meaning>) =>
    interpret(graph, leaves, (value, data) => roundTo(data, value.dtype), replaced);
  const after = plain();
  const within = rounded ? plain(rounded.meanings(compute)) : after;
  return (value, name) => {
    const allowed = rounded?.of.test(name) ? within : after;
    return Math.max(2 * relativeError(allowed.get(value)!, exact.get(value)!), value.dtype === 'f32' ? single : 0);
  };
}

async function checkPrecision(testCase: KernelCase, compute: DType, threadCounts: readonly number[]): Promise<void> {
  const built = buildCase(testCase, compute);
  const expected = interpret(built.graph, built.leaves);
  const bound = boundOf(testCase, built, expected, compute);
  for (const threads of threadCounts) {
    const first = await runNative(built.graph, built.leaves, { threads });
    const second = emulated ? undefined : await runNative(built.graph, built.leaves, { threads });
    for (const [name, value] of built.compared) {
      const got = first.get(name)!;
      const what = `${name} [${value.shape}] in ${compute} on ${testDevice()} with ${threads} threads`;
      const error = relativeError(got, expected.get(value)!);
      expect(error, `${what}: relative error`).toBeLessThanOrEqual(bound(value, name));
      if (!second) continue;
      const same = Buffer.from(got.buffer).equals(Buffer.from(second.get(name)!.buffer));
      expect(same, `${what}: a second run gives the same bits`).toBe(true);
    }
  }
}

/** float16 differs from bfloat16 in how elements are read and written alone, so that large cases need not run in it. */
const MOST_IN_F16 = 4096;

function precisions(testCase: KernelCase): DType[] {
  if (testCase.half === false) return ['f32'];
  const largest = Math.max(0, ...Object.values(testCase.inputs).map(elements));
  return largest <= MOST_IN_F16 ? ['f32', 'bf16', 'f16'] : ['f32', 'bf16'];
}

/**
 * Runs an op, and its gradient, on the engine and in float64, and fails unless every output agrees, twice: two runs must give the same
 * bits, and no kernel may write outside its outputs and scratch. On the CPU with 1, 2 and 3 threads; on a CUDA device in float32,
 * bfloat16 and float16; on an emulated one once, because it cannot but repeat itself.
 */
export async function checkKernel(testCase: KernelCase): Promise<void> {
  if (!onCuda) return checkPrecision(testCase, 'f32', [1, 2, 3]);
  for (const compute of precisions(testCase)) await checkPrecision(testCase, compute, [1]);
}
