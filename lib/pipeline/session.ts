import { loadAddon } from '../addon/load.js';
import type { Engine, EngineOptions, Program, TensorArray, WeightSource } from '../addon/surface.js';
import { FileFormatError } from '../errors.js';
import type { DType, Graph } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import type { TensorRef } from '../io/safetensorsHeader.js';
import { encodePlan } from '../plan/encode.js';
import { makePlan } from '../plan/makePlan.js';
import type { Plan, PlannedTensor } from '../plan/plan.js';
import type { Target } from '../plan/target.js';
import { type AlgorithmCache, type CacheWarning, suggestAlgorithms } from './algorithmCache.js';
import type { ComputeDevice } from './device.js';
import { withFloats } from './floats.js';
import type { ComputeType } from './precision.js';

/** An engine, and which weights and state buffers it holds. */
export interface Session {
  readonly engine: Engine;
  readonly threads: number;
  /** What plans for it are made for. */
  readonly target: Target;
  /** Type of activations and matrices; undefined on the CPU: float32, and weights in their stored type. */
  readonly compute: ComputeType | undefined;
  readonly weights: Set<string>;
  /** Elements of each state buffer. */
  readonly states: Map<string, number>;
  /** Where the algorithms that it finds fastest are kept; undefined: nowhere. */
  readonly algorithmCache: AlgorithmCache | undefined;
}

/** The most that a run's engine spends on trying algorithms. */
const TRIAL_MS = 20_000;

function engineOptions({ info, threads, precision, deterministic, target }: ComputeDevice): EngineOptions {
  if (info.kind === 'cpu') return { threads };
  const trialMs = deterministic ? 0 : TRIAL_MS;
  const attentionBytes = typeof target === 'number' ? 0 : (target.attentionBytes ?? 0);
  return { threads, device: `cuda:${info.index}`, tf32: precision === 'tf32', trialMs, attentionBytes };
}

/**
 * Starts an engine. Dispose `session.engine` at the end.
 * @param device what computes, or the number of threads of the CPU
 * @param warn hears what is wrong with the cache of algorithms
 */
export function openSession(device: number | ComputeDevice, warn: CacheWarning = () => {}): Session {
  const held = { weights: new Set<string>(), states: new Map<string, number>() };
  if (typeof device === 'number') {
    const engine = loadAddon().createEngine({ threads: device });
    return { engine, threads: device, target: device, compute: undefined, ...held, algorithmCache: undefined };
  }
  const { threads, target, compute } = device;
  const engine = loadAddon().createEngine(engineOptions(device));
  const algorithmCache = device.algorithmCache ? suggestAlgorithms(engine, warn) : undefined;
  return { engine, threads, target, compute, ...held, algorithmCache };
}

const STORED: Readonly<Record<string, DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

function tensorOf(name: string, components: readonly Component[]): TensorRef & { stored: DType } {
  const component = components.find((c) => name.startsWith(`${c.name}/`));
  const ref = component?.tensors.get(name.slice(component.name.length + 1));
  const stored = ref && STORED[ref.dtype];
  if (ref && stored) return { ...ref, stored };
  throw new FileFormatError(`weight '${name}' is in none of ${components.map((c) => c.name).join(', ')}`);
}

function weightSource(name: string, planned: PlannedTensor, components: readonly Component[]): WeightSource {
  const { matrix, value } = planned;
  const names = value.leaf?.kind === 'weight' ? (value.leaf.rows ?? [name]) : [name];
  const [ref, ...below] = names.map((one) => tensorOf(one, components)) as [ReturnType<typeof tensorOf>];
  const dtype = ref.stored;
  const [rows = 1, ...sizes] = ref.shape;
  return {
    name,
    path: ref.path,
    offset: ref.offset,
    dtype,
    shape: ref.shape.length === 0 ? [] : [rows * names.length, ...sizes],
    ...(below.length > 0 && { below: below.map(({ path, offset }) => ({ path, offset, rows })) }),
    ...(ref.shape.length === 4 ? { layout: 'oihw' as const } : {}),
    ...(ref.transposed ? { layout: 'transposed' as const } : {}),
    matrix,
    keep: !matrix && value.dtype !== 'f32',
    ...(value.dtype === dtype || value.dtype === 'i32' ? {} : { as: value.dtype }),
  };
}

/** Loads the weights that a plan reads and the engine does not hold yet. */
export async function loadPlanWeights(session: Session, plan: Plan, components: readonly Component[]): Promise<void> {
  const missing = [...plan.weights].filter(([name]) => !session.weights.has(name));
  if (missing.length === 0) return;
  await session.engine.loadWeights(missing.map(([name, planned]) => weightSource(name, planned, components)));
  for (const [name] of missing) session.weights.add(name);
}

/** Frees the weights of one component. */
export function releaseComponent(session: Session, component: Component): void {
  session.engine.releaseWeights(`${component.name}/`);
  for (const name of session.weights) if (name.startsWith(`${component.name}/`)) session.weights.delete(name);
}

/** Makes a state buffer of zeros unless it is there; a smaller one, which no program may read any more, is replaced. */
export function ensureState(session: Session, name: string, floats: number): void {
  const present = session.states.get(name);
  if (present !== undefined && present >= floats) return;
  if (present !== undefined) session.engine.releaseState(name);
  session.engine.createState(name, floats);
  session.states.set(name, floats);
}

/** A graph made ready to run: planned, its weights loaded, its state buffers made. The host sees 16-bit floats as float32. */
export async function loadProgram(
  session: Session,
  planned: Graph | Plan,
  components: readonly Component[],
): Promise<Program> {
  const plan = 'calls' in planned ? planned : makePlan(planned, session.target);
  await loadPlanWeights(session, plan, components);
  for (const [name, bytes] of plan.stateBytes) ensureState(session, name, bytes / 4);
  return withFloats(session.engine.load(encodePlan(plan)), plan);
}

/** Values for inputs of a program, by name. */
export type Feeds = Readonly<Record<string, TensorArray>>;

/** Writes several inputs. */
export function writeAll(program: Program, feeds: Feeds): void {
  for (const [name, data] of Object.entries(feeds)) program.write(name, data);
}

/** Reads a result of any float type. */
export function readResult(program: Program, name: string): Float32Array {
  return new Float32Array(program.read(name));
}

/** Runs a graph once: loads, writes `feeds`, runs, reads all results, disposes. */
export async function runOnce(
  session: Session,
  graph: Graph,
  components: readonly Component[],
  feeds: Feeds,
): Promise<Map<string, Float32Array>> {
  const program = await loadProgram(session, graph, components);
  try {
    writeAll(program, feeds);
    await program.run();
    return new Map([...graph.results.keys()].map((name) => [name, readResult(program, name)]));
  } finally {
    program.dispose();
  }
}
