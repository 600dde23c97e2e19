import type { DType } from '../graph/graph.js';

/** How a weight is to be kept by the engine. */
export interface WeightForm {
  /** The name under which plans ask for it. */
  name: string;
  /** Type of the stored elements. */
  dtype: DType;
  /** Sizes in the source: a convolution weight of a file is [o, i, kh, kw]. */
  shape: readonly number[];
  /**
   * 'oihw': a convolution weight in the order of checkpoint files; the engine keeps it as [o, kh, kw, i]. 'transposed': the source
   * holds the transpose of the matrix of `shape`. Default 'plain'.
   */
  layout?: 'oihw' | 'transposed' | 'plain';
  /** Pack it for matrix products, in its stored type. Otherwise it is kept row-major and widened to f32. */
  matrix?: boolean;
  /** Keep the stored type of a plain weight (embedding tables). */
  keep?: boolean;
  /** Keep it, matrix or plain, in this type instead, rounded to nearest even as it is loaded: the compute type of a CUDA run. */
  as?: 'f32' | 'f16' | 'bf16';
}

/** A weight in a file: `offset` is the byte at which its elements begin, counted from the start of the file. */
export interface WeightSource extends WeightForm {
  path: string;
  offset: number;
  /** Tensors of the same type whose rows, entries of the first size, follow; `shape` counts theirs, too. */
  below?: readonly WeightRows[];
}

/** Rows that lie together in a file. */
export interface WeightRows {
  path: string;
  offset: number;
  rows: number;
}

/** Bytes held, by use, and the most that was ever held at once. */
export interface EngineMemory {
  weights: number;
  state: number;
  arena: number;
  io: number;
  /** Memory that the device and its libraries keep for work within a kernel; 0 on the CPU. Part of `peak`. */
  workspace: number;
  peak: number;
  /** What the device could still give now, about. Not part of `peak`. */
  free: number;
}

export interface RunOptions {
  /** Look for infinite values and NaN in the outputs of every call: NonFiniteError names the op and its path. Slower. */
  check?: boolean;
  /** Fail if a kernel writes anything but its outputs and scratch; these are filled with NaN first. Slow, for tests. */
  guard?: boolean;
  /** Time every call. */
  profile?: boolean;
  /**
   * On a device with a queue: do not wait for the end. What is written, run and read later follows in order; `read` and `readState`
   * wait for it, and so does the next run without `queue`, which also rejects if an earlier one failed. The CPU ignores it.
   */
  queue?: boolean;
  /**
   * On a device that can: keep all calls as one recording in the second run, and replay it from then on. Default true. Runs with
   * `check`, `guard` or `profile` always go call by call.
   */
  record?: boolean;
}

export interface RunReport {
  /** Wall-clock time of the whole run. */
  ms: number;
  /** With `profile`: every call in order. */
  calls?: { op: string; path: string; ms: number }[];
  /** Why the calls could not be recorded, in the run that tried; this one and later ones go call by call. */
  unrecorded?: string;
}

/** Arrays by dtype: Float32Array (f32), Int32Array (i32), Uint16Array with the bits of f16 or bf16. */
export type TensorArray = Float32Array | Int32Array | Uint16Array;

/**
 * A plan bound to an engine's weights and state. Inputs and results keep their memory between runs.
 * Every method throws DisposedError after `dispose()`, and TloraError ERR_TLORA_BUSY while the engine works.
 */
export interface Program {
  /** Sets an input: exactly its number of elements, in the array type of its dtype. */
  write(input: string, values: TensorArray): void;
  /** A copy of a result's bytes. */
  read(result: string): ArrayBuffer;
  /**
   * Runs all calls on the engine's threads; the event loop stays free.
   * @throws AbortError after `engine.cancel()`, NonFiniteError, OutOfMemoryError, or TloraError with op and path
   */
  run(options?: RunOptions): Promise<RunReport>;
  /** Frees the program's own memory. Safe to call twice, and while it runs (it is freed at the end). */
  dispose(): void;
}

/**
 * A device with its threads, weights, state buffers, and one arena that all its programs share.
 * One thing at a time: while a run or a load is under way every method but `cancel`, `loading`, `memory` and `dispose`
 * throws TloraError ERR_TLORA_BUSY.
 */
export interface Engine {
  /** Maps the files and packs the tensors one after the other. A name that is already there is replaced. */
  loadWeights(weights: readonly WeightSource[]): Promise<void>;
  /** Bytes of source read by the load under way (or the last one), for progress. */
  loading(): { done: number; total: number };
  /** Takes one weight from memory. */
  addWeight(weight: WeightForm, values: TensorArray): void;
  /** Frees every weight whose name starts with `prefix`, back to the system; returns how many. */
  releaseWeights(prefix: string): number;
  /** Makes a named buffer of `floats` float32 zeros. */
  createState(name: string, floats: number): void;
  releaseState(name: string): void;
  /** Writes at `offset` elements into a state buffer. */
  writeState(name: string, offset: number, values: Float32Array): void;
  /** Copies `count` values at `offset` elements out of a state buffer. */
  readState(name: string, offset: number, count: number): Float32Array;
  /** Decodes a plan (lib/plan/encode.ts) and binds it: weights and state buffers must be there, with its shapes. */
  load(plan: Uint8Array): Program;
  /** Stops the run or load under way: its promise rejects with AbortError once the tasks begun have ended. */
  cancel(): void;
  memory(): EngineMemory;
  /** The algorithms that the libraries of a CUDA device have chosen for the shapes met so far, as JSON; '' on the CPU. */
  choices(): string;
  /**
   * Takes such choices, before the first run: the same choices on the same device and libraries give the same bits.
   * @throws DeviceError if they are of another device or of other libraries; nothing is taken then
   */
  useChoices(json: string): void;
  /**
   * Takes such choices as suggestions: each is used where it works, and passed over where not.
   * @throws DeviceError as `useChoices`
   */
  suggestChoices(json: string): void;
  /** Frees everything. Safe to call twice; cancels what is under way. */
  dispose(): void;
}

/** One CUDA device. */
export interface CudaDevice {
  /** N of `cuda:N`. */
  index: number;
  name: string;
  memoryBytes: number;
  /** What an engine takes for itself beside weights, state, arena and io. */
  workspaceBytes: number;
  /** Compute capability, such as 9.0. */
  capability: string;
}

export interface CudaInfo {
  found: boolean;
  /** In one line, what is missing where no device can be used; otherwise ''. */
  reason: string;
  /** In one line, what is missing that runs on the devices go on without; otherwise ''. */
  lacking: string;
  devices: readonly CudaDevice[];
}

/** Which device an engine computes on. */
export interface EngineOptions {
  threads: number;
  /** `cpu`, the default, `cuda` (the first device) or `cuda:N`. */
  device?: string;
  /** Products of float32 matrices may round their factors to TF32. */
  tf32?: boolean;
  /** On a CUDA device: taken beside the workspace, for what cuDNN's gradient of attention keeps. Default 0. */
  attentionBytes?: number;
  /**
   * On a CUDA device: for so many milliseconds of the host, in all, the algorithms of the libraries are tried against each other when a shape is
   * first met, and the fastest is taken. Default 0: the first of the libraries' own order is taken, always.
   */
  trialMs?: number;
}

export interface AddonInfo {
  /** Instruction sets of this processor that kernels may use. */
  cpu: string[];
  planFormat: number;
  backendAbi: number;
  compiler: string;
  napi: number;
  /** Looked for when it is read: where there is a driver, that loads NVIDIA's libraries. */
  readonly cuda: CudaInfo;
}

/** What the native addon exports, with errors translated to tlora's classes. */
export interface NativeAddon {
  /** File from which it was loaded. */
  path: string;
  /** @throws DeviceError when the device cannot be used; never another one instead */
  createEngine(options: EngineOptions): Engine;
  info(): AddonInfo;
}
