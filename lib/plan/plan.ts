import type { Node, Value } from '../graph/graph.js';
import type { Target } from './target.js';

/** Where one tensor of a plan lives. Views have the place of what they show. */
export interface PlannedTensor {
  value: Value;
  place: 'arena' | 'io' | 'weight' | 'state';
  /** Byte offset in the arena or the io memory, or in the state buffer; 0 for a weight. */
  offset: number;
  /** Name of the state buffer or of the weight. */
  buffer?: string;
  /** A frozen weight that its op reads packed, as a matrix. */
  matrix: boolean;
}

/** One kernel call. Inputs and outputs are those of `node`, in its order; scratch memory lies in the arena. */
export interface PlannedCall {
  node: Node;
  inputs: (PlannedTensor | null)[];
  outputs: (PlannedTensor | null)[];
  scratchOffset: number;
  scratchBytes: number;
}

/** Everything the engine needs to run a graph: calls in order, and the place of every tensor. */
export interface Plan {
  calls: PlannedCall[];
  tensors: PlannedTensor[];
  arenaBytes: number;
  /** The most bytes of values and scratch that are live at any call: no arena can be smaller. */
  livePeakBytes: number;
  ioBytes: number;
  /** Scratch memory was sized for this many threads. */
  threads: number;
  /** What it was made for. */
  target: Target;
  /** Bytes of each state buffer, by name. */
  stateBytes: Map<string, number>;
  inputs: Map<string, PlannedTensor>;
  results: Map<string, PlannedTensor>;
  weights: Map<string, PlannedTensor>;
}
