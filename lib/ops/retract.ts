import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectSize } from '../graph/shapes.js';
import { cudaFrameScratchBytes, frameScratchBytes } from './qrFrame.js';

/** A matrix within a flat buffer that is to stay orthonormal. */
export interface FrameSlice {
  /** In elements. */
  offset: number;
  /** Length and number of the orthonormal vectors, length ≥ count. */
  length: number;
  count: number;
  /** false: stored [length, count]; true: stored [count, length]. */
  transposed: boolean;
}

/**
 * Replaces matrices within a flat buffer by the frames that qrFrame gives for them, in place. A row of `table` is offset, length, count,
 * transposed. One node does all matrices of a step, so that the threads share them out. Does nothing when loss or norm is not finite,
 * as `adamw`.
 */
export const retractOp: Op = {
  name: 'retract',
  attrs: ['longest', 'widest'],
  alias: { 0: 0 },
  effect: true,
  scratchBytes: (node, threads) => {
    const { longest, widest } = node.attrs as { longest: number; widest: number };
    return threads * frameScratchBytes(longest, widest);
  },
  cudaScratchBytes: (node) => {
    const { longest, widest } = node.attrs as { longest: number; widest: number };
    return cudaFrameScratchBytes(node.inputs[1]!.shape[0]!, longest, widest);
  },
};

/** The rows of `retract`'s table: Int32Array [slices, 4]. */
export function retractTable(slices: readonly FrameSlice[]): Int32Array {
  return Int32Array.from(slices.flatMap((s) => [s.offset, s.length, s.count, Number(s.transposed)]));
}

/** What `adamw` judged a step by. */
export interface Judged {
  /** [1] */
  readonly loss: Value;
  /** [1] */
  readonly norm: Value;
}

/**
 * @param params [N], a flat state buffer
 * @param table [slices.length, 4], i32, an input that the host fills with retractTable(slices)
 * @param judged absent: always
 * @returns params, changed in place
 * @throws ShapeError
 */
export function retract(params: Value, table: Value, slices: readonly FrameSlice[], judged?: Judged): Value {
  expectRank('retract', 'params', params, 1);
  expectRank('retract', 'table', table, 2);
  expectDType('retract', 'table', table, 'i32');
  expectSize('retract', 'rows of table', table, table.shape[0], slices.length);
  expectSize('retract', 'columns of table', table, table.shape[1], 4);
  for (const [name, value] of Object.entries(judged ?? {})) expectShape('retract', name, value, [1]);
  const longest = Math.max(...slices.map((s) => s.length));
  const widest = Math.max(...slices.map((s) => s.count));
  const output = { name: 'params', shape: params.shape, dtype: params.dtype };
  return addNode(params.graph, retractOp, [params, table, judged?.loss ?? null, judged?.norm ?? null], [output], {
    longest,
    widest,
  }).outputs[0]!;
}
