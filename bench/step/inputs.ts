// What a model is measured on: made-up prompts and adapters, for us and, as tensors in PyTorch's layouts, for another program.
import { type AdapterLayout, valueName } from '../../lib/adapters/adapterLayout.js';
import { DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import type { RankSchedule } from '../../lib/adapters/rankSchedule.js';
import { drawStart } from '../../lib/adapters/start.js';
import type { TensorToWrite } from '../../lib/io/safetensors.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import type { TimeIds } from '../../lib/pipeline/conditions.js';
import type { OpenModel } from '../../lib/pipeline/openModel.js';
import { ensureState, runOnce, type Session } from '../../lib/pipeline/session.js';
import type { TextStates } from '../../lib/pipeline/textStates.js';
import { formatBytes } from '../../lib/plan/byteSize.js';
import type { MemoryForecast } from '../../lib/plan/memoryBudget.js';
import type { Plan } from '../../lib/plan/plan.js';
import { normals } from './normals.js';

/** Half the rank at the highest noise and a straight line: the usual schedule. */
export function usualSchedule(T: number, rank: number): RankSchedule {
  return { T, maxRank: rank, minRank: rank >> 1, alpha: 1 };
}

/** SDXL's size conditions of a square that was not cropped. */
export function squareTimeIds(side: number): TimeIds {
  return [side, side, 0, 0, side, side];
}

/** Unit normal states of `rows` prompts. */
export function textStates({ unet }: OpenModel, rows: number, tokens: number): TextStates {
  const { crossAttentionDim: width, textTime } = readUnetConfig(unet.config);
  const pooled = textTime ? normals(2, rows * (textTime.inputDim - 6 * textTime.timeDim)) : null;
  return { n: rows, tokens, width, states: normals(1, rows * tokens * width), pooled, truncated: [] };
}

/** Draws an orthogonal start of all adapters into the state buffers `params` and `base`. @returns the values */
export async function drawAdapters(session: Session, layout: AdapterLayout, rank: number): Promise<Float32Array> {
  for (const name of ['params', 'base']) ensureState(session, name, layout.flat.total);
  await drawStart({
    layout,
    spec: { variant: 'tlora', rank, start: DEFAULT_START, orthogonal: 'init' },
    seed: 1,
    runGraph: (graph, feeds) => runOnce(session, graph, [], feeds),
    state: session.engine,
  });
  return session.engine.readState('params', 0, layout.flat.total);
}

export function tensor(key: string, shape: readonly number[], data: Float32Array | Int32Array): TensorToWrite {
  return { key, dtype: data instanceof Int32Array ? 'I32' : 'F32', shape, data };
}

/** Text states, and for SDXL pooled states and size conditions, the same for all prompts. */
export function conditionTensors(text: TextStates, timeIds: TimeIds): TensorToWrite[] {
  const { n, tokens, width, states, pooled } = text;
  const ids = Float32Array.from({ length: 6 * n }, (_, i) => timeIds[i % 6]!);
  return [
    tensor('encoderHiddenStates', [n, tokens, width], states),
    ...(pooled ? [tensor('textEmbeds', [n, pooled.length / n], pooled), tensor('timeIds', [n, 6], ids)] : []),
  ];
}

/** The values of all adapters under their keys in adapter files, with `prefix` before them. */
export function adapterTensors({ layers, flat }: AdapterLayout, values: Float32Array, prefix = ''): TensorToWrite[] {
  return layers.flatMap(({ path }) =>
    (['lora_up', 'lora_down', 'lora_lambda'] as const).map((kind) => {
      const name = valueName(path, kind);
      const { offset, shape, count } = flat.entries.get(name)!;
      return tensor(`${prefix}${name}`, shape, values.subarray(offset, offset + count));
    }),
  );
}

/** Floating-point operations of a plan. */
export function planFlops(plan: Plan): number {
  return plan.calls.reduce((sum, { node }) => sum + (node.op.flops?.(node) ?? 0), 0);
}

export interface Planned {
  /** As planned; adapters at their full rank. */
  readonly flops: number;
  readonly calls: number;
  readonly forecast: MemoryForecast;
}

/** A sentence on what the plan takes. */
export function forecastLine({ forecast, calls, flops }: Planned): string {
  const { weightBytes, stateBytes, arenaBytes, totalBytes } = forecast;
  const [total, weights, states, arena] = [totalBytes, weightBytes, stateBytes, arenaBytes].map(formatBytes);
  return `${calls} calls, ${(flops / 1e9).toFixed(1)} GFLOP; planned memory ${total} (weights ${weights}, adapters ${states}, arena ${arena})`;
}
