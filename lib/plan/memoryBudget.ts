import { OutOfMemoryError } from '../errors.js';
import { byteLength, DTYPE_BYTES, elements, type Graph } from '../graph/graph.js';
import { recomputeCandidates, remat } from '../transform/remat.js';
import { formatBytes } from './byteSize.js';
import { makePlan } from './makePlan.js';
import type { Plan, PlannedTensor } from './plan.js';
import { CUDA_WEIGHT_ALIGNMENT, type Target } from './target.js';

/** Rows of a packed weight are stored in panels of this many (native/core/tensor.h). */
const PANEL = 16;
/** Packing memory of one thread (native/core/kernel.h). */
const WORKSPACE_BYTES = 4 * 2 ** 20;

/** What a run needs, in bytes, before it starts. */
export interface MemoryForecast {
  readonly weightBytes: number;
  /** Trained values, their starts, gradients and moments. */
  readonly stateBytes: number;
  readonly ioBytes: number;
  readonly arenaBytes: number;
  /** Packing memory of the CPU's threads, or what a CUDA device keeps for work within a kernel. */
  readonly workspaceBytes: number;
  readonly totalBytes: number;
}

/** Bytes of one frozen weight as the engine keeps it: in panels on the CPU, row-major and aligned on a CUDA device. */
export function storedWeightBytes({ value, matrix }: PlannedTensor, target: Target): number {
  if (typeof target !== 'number') return Math.ceil(byteLength(value) / CUDA_WEIGHT_ALIGNMENT) * CUDA_WEIGHT_ALIGNMENT;
  if (!matrix) return byteLength(value);
  const rows = value.shape[0]!;
  return Math.ceil(rows / PANEL) * PANEL * (elements(value.shape) / rows) * DTYPE_BYTES[value.dtype];
}

/**
 * Sums what a plan needs: all that the engine allocates for it.
 * @param heldBytes state buffers that the plan does not read but that are there beside it
 */
export function memoryForecast(plan: Plan, heldBytes = 0): MemoryForecast {
  const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
  const weightBytes = sum([...plan.weights.values()].map((weight) => storedWeightBytes(weight, plan.target)));
  const stateBytes = sum(plan.stateBytes.values()) + heldBytes;
  const { target } = plan;
  const workspaceBytes =
    typeof target === 'number' ? target * WORKSPACE_BYTES : target.workspaceBytes + (target.attentionBytes ?? 0);
  const { ioBytes, arenaBytes } = plan;
  const totalBytes = weightBytes + stateBytes + ioBytes + arenaBytes + workspaceBytes;
  return { weightBytes, stateBytes, ioBytes, arenaBytes, workspaceBytes, totalBytes };
}

export interface BudgetedPlan {
  readonly graph: Graph;
  readonly plan: Plan;
  readonly forecast: MemoryForecast;
  /** Blocks that are recomputed in the backward pass. */
  readonly recomputed: readonly string[];
}

function tryBlocks(graph: Graph, blocks: readonly string[], target: Target, heldBytes: number): BudgetedPlan {
  const made = blocks.length === 0 ? graph : remat(graph, new Set(blocks));
  const plan = makePlan(made, target);
  return { graph: made, plan, forecast: memoryForecast(plan, heldBytes), recomputed: blocks };
}

/**
 * Plans a graph within a memory budget by recomputing as few blocks as needed, those first that save the most bytes a FLOP.
 * @param budgetBytes everything tlora may allocate; undefined: no limit, nothing is recomputed
 * @param heldBytes state buffers beside those that the graph reads
 * @throws OutOfMemoryError that names the smallest budget that works
 */
export function planWithin(graph: Graph, target: Target, budgetBytes: number | undefined, heldBytes = 0): BudgetedPlan {
  const plain = tryBlocks(graph, [], target, heldBytes);
  if (budgetBytes === undefined || plain.forecast.totalBytes <= budgetBytes) return plain;
  const order = recomputeCandidates(graph)
    .filter((c) => c.savedBytes > 0)
    .sort((a, b) => b.savedBytes / (b.flops + 1) - a.savedBytes / (a.flops + 1))
    .map((c) => c.block);
  const tried = (count: number): BudgetedPlan => tryBlocks(graph, order.slice(0, count), target, heldBytes);
  let most = tried(order.length);
  if (most.forecast.totalBytes > budgetBytes) throw tooSmall(budgetBytes, [plain, most]);
  let low = 0;
  let high = order.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const attempt = tried(middle);
    if (attempt.forecast.totalBytes <= budgetBytes) {
      high = middle;
      most = attempt;
    } else low = middle;
  }
  return most;
}

function tooSmall(budgetBytes: number, attempts: readonly BudgetedPlan[]): OutOfMemoryError {
  const smallest = Math.min(...attempts.map((a) => a.forecast.totalBytes));
  const least = formatBytes(smallest);
  return new OutOfMemoryError(
    `memory: expected at least ${least} for this model, resolution, batch and rank, got ${formatBytes(budgetBytes)}`,
    { hint: `Allow --memory ${least}, or lower --resolution, --batch or --rank.` },
  );
}
