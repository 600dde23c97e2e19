// Where a step's time goes: calls grouped by op, and by op and shapes.
import type { RunReport } from '../../lib/addon/surface.js';
import { createGraph, input, type Node, result, weight } from '../../lib/graph/graph.js';
import { linear } from '../../lib/ops/linear.js';
import { loadProgram, type Session } from '../../lib/pipeline/session.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan } from '../../lib/plan/plan.js';

/** One timed call. */
export interface ProfiledCall {
  readonly op: string;
  /** Sizes that tell calls of one op apart. */
  readonly sizes: string;
  readonly ms: number;
  readonly flops: number;
}

/** Calls that share a key. */
export interface ProfileRow {
  readonly key: string;
  readonly count: number;
  readonly ms: number;
  /** Part of the step's time, 0 to 1. */
  readonly share: number;
  /** null for ops that count no operations. */
  readonly gflops: number | null;
}

const shapeOf = (value: { shape: readonly number[] } | null | undefined): string => value?.shape.join('×') ?? '-';

/** The first two inputs and the first output: of a product, what is multiplied and the result. */
function sizesOf(node: Node): string {
  const [first, second] = node.inputs.filter((value) => value !== null);
  return `${shapeOf(first)}, ${shapeOf(second)} → ${shapeOf(node.outputs.find((value) => value !== null))}`;
}

/** Joins the times of a run with the plan's nodes. */
export function profiledCalls(plan: Plan, times: NonNullable<RunReport['calls']>): ProfiledCall[] {
  return plan.calls.map(({ node }, i) => {
    const { op, ms } = times[i]!;
    return { op, sizes: sizesOf(node), ms, flops: node.op.flops?.(node) ?? 0 };
  });
}

/** Of several profiles of one plan, each call's shortest time. */
export function shortestCalls(profiles: readonly ProfiledCall[][]): ProfiledCall[] {
  return profiles[0]!.map((call, i) => ({ ...call, ms: Math.min(...profiles.map((profile) => profile[i]!.ms)) }));
}

/** Sums calls by a key, most time first. */
export function profileRows(calls: readonly ProfiledCall[], keyOf: (call: ProfiledCall) => string): ProfileRow[] {
  const groups = new Map<string, { count: number; ms: number; flops: number }>();
  for (const call of calls) {
    const sum = groups.get(keyOf(call)) ?? { count: 0, ms: 0, flops: 0 };
    groups.set(keyOf(call), { count: sum.count + 1, ms: sum.ms + call.ms, flops: sum.flops + call.flops });
  }
  const total = calls.reduce((sum, { ms }) => sum + ms, 0);
  return [...groups]
    .map(([key, { count, ms, flops }]) => ({
      key,
      count,
      ms,
      share: ms / total,
      gflops: flops > 0 ? flops / ms / 1e6 : null,
    }))
    .sort((a, b) => b.ms - a.ms);
}

/** A table of rows, for a terminal. */
export function profileTable(title: string, rows: readonly ProfileRow[]): string {
  const width = Math.max(title.length, ...rows.map(({ key }) => key.length));
  const lines = rows.map(({ key, count, ms, share, gflops }) =>
    [
      key.padEnd(width),
      String(count).padStart(6),
      ms.toFixed(ms < 10 ? 3 : 1).padStart(10),
      `${(share * 100).toFixed(1)} %`.padStart(8),
      (gflops === null ? '' : gflops.toFixed(0)).padStart(8),
    ].join(' '),
  );
  return [`${title.padEnd(width)}  calls         ms    share  GFLOP/s`, ...lines].join('\n');
}

const ROWS = 2048;
const WIDTH = 1280;

/** GFLOP/s of our own matrix product on float16 weights at a comfortable size: the best of five, for comparison with a step's ops. */
export async function measureProduct(session: Session): Promise<number> {
  const graph = createGraph();
  const w = weight(graph, 'product/w', [WIDTH, WIDTH], 'f16');
  result(graph, 'y', linear(input(graph, 'x', [1, ROWS, WIDTH]), w, null));
  session.engine.addWeight(
    { name: 'product/w', dtype: 'f16', shape: [WIDTH, WIDTH], matrix: true },
    new Uint16Array(WIDTH * WIDTH).fill(0x2c00),
  );
  session.weights.add('product/w');
  const program = await loadProgram(session, makePlan(graph, session.threads), []);
  program.write('x', new Float32Array(ROWS * WIDTH).fill(0.5));
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 6; i++) best = Math.min(best, (await program.run()).ms);
  program.dispose();
  return (2 * ROWS * WIDTH * WIDTH) / best / 1e6;
}
