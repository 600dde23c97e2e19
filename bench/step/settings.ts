// Options that all measurements of a whole model take.
import { availableParallelism } from 'node:os';
import { randomModel, STEP_SHAPES, type StepShape } from './model.js';

export const MODEL_USAGE: string = `\
  --against pytorch   also time PyTorch (TLORA_BENCH_PYTHON: a Python with torch and safetensors)
  --layout NAME       its pictures: nchw or nhwc; default nchw
  --shape NAME        ${Object.keys(STEP_SHAPES).join(', ')}: a model with random weights; default sd15
  --model DIR         a model folder instead
  --resolution N      side of the picture; default: the shape's usual one
  --rank N            default: the shape's usual one
  --threads N         default: all cores
  --json              one JSON object instead of tables`;

/** For parseArgs. */
export const MODEL_OPTIONS = {
  against: { type: 'string' },
  layout: { type: 'string', default: 'nchw' },
  shape: { type: 'string', default: 'sd15' },
  model: { type: 'string' },
  resolution: { type: 'string' },
  rank: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

/** The options as parseArgs gives them. */
export interface ModelValues {
  readonly against?: string | undefined;
  readonly layout: string;
  readonly shape: string;
  readonly model?: string | undefined;
  readonly resolution?: string | undefined;
  readonly rank?: string | undefined;
  readonly threads?: string | undefined;
  readonly json: boolean;
}

export interface ModelSettings {
  /** Whether PyTorch is measured, too. */
  readonly against: boolean;
  /** Of PyTorch's pictures. */
  readonly layout: 'nchw' | 'nhwc';
  readonly model: string;
  readonly resolution: number | undefined;
  readonly rank: number;
  readonly threads: number;
  readonly json: boolean;
}

/** @throws Error that names the choices */
export function oneOf<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new Error(`--${name}: expected ${choices.join(' or ')}, got ${value}`);
  return found;
}

/** A whole number from 1 up. @throws Error for anything else */
export function count(name: string, value: string): number {
  if (!/^[1-9]\d{0,5}$/.test(value)) throw new Error(`--${name}: expected a whole number from 1 up, got ${value}`);
  return Number(value);
}

/** Reads the options, and makes the random model if it is not there. @throws Error */
export function modelSettings(values: ModelValues): ModelSettings {
  const shape = STEP_SHAPES[oneOf('shape', values.shape, Object.keys(STEP_SHAPES) as StepShape[])];
  const usual = values.model === undefined ? shape.resolution : undefined;
  return {
    against: values.against !== undefined && oneOf('against', values.against, ['pytorch']) === 'pytorch',
    layout: oneOf('layout', values.layout, ['nchw', 'nhwc']),
    resolution: values.resolution === undefined ? usual : count('resolution', values.resolution),
    rank: values.rank === undefined ? shape.rank : count('rank', values.rank),
    threads: values.threads === undefined ? availableParallelism() : count('threads', values.threads),
    json: values.json,
    model: values.model ?? randomModel(shape.shape),
  };
}
