import { alphasCumprodTable, type BetaSchedule } from './betas.js';
import {
  fieldError,
  readBoolean,
  readInteger,
  readNumber,
  readOneOf,
  requireFields,
  type SchedulerConfig,
} from './configFields.js';

export type PredictionType = 'epsilon' | 'v_prediction';
export type TimestepSpacing = 'leading' | 'trailing' | 'linspace';

/** What a model was trained with: the discrete diffusion process, and how its authors space sampling steps. */
export interface NoiseSchedule {
  /** T, the number of training timesteps; t runs from 0 (clean) to T − 1 (noise). */
  readonly trainTimesteps: number;
  readonly predictionType: PredictionType;
  /** T values, decreasing; x_t = sqrt(alphasCumprod[t])·x_0 + sqrt(1 − alphasCumprod[t])·ε. */
  readonly alphasCumprod: Float64Array;
  /** T values sqrt((1 − a)/a), a = alphasCumprod[t], 2⁻²⁴ where that is 0: noise level of x_t / sqrt(a). */
  readonly sigmas: Float64Array;
  readonly betaSchedule: BetaSchedule;
  readonly timestepSpacing: TimestepSpacing;
  readonly stepsOffset: number;
  readonly useKarrasSigmas: boolean;
  /** DDIM: whether the step behind t = 0 is noise-free, or as noisy as t = 0. */
  readonly setAlphaToOne: boolean;
  /** DDIM: predicted x_0 is clamped to ±this; undefined for no clamp. */
  readonly clipSampleRange: number | undefined;
  /** The file's object; a sampler refuses fields of it that only matter to that sampler. */
  readonly config: SchedulerConfig;
}

// Every class here describes the same training process. The value is the timestep_spacing it has when the file names
// none.
const classSpacing: Readonly<Record<string, TimestepSpacing>> = {
  DDPMScheduler: 'leading',
  DDPMParallelScheduler: 'leading',
  DDIMScheduler: 'leading',
  DDIMParallelScheduler: 'leading',
  PNDMScheduler: 'leading',
  EulerDiscreteScheduler: 'linspace',
  EulerAncestralDiscreteScheduler: 'linspace',
  HeunDiscreteScheduler: 'linspace',
  LMSDiscreteScheduler: 'linspace',
  KDPM2DiscreteScheduler: 'linspace',
  KDPM2AncestralDiscreteScheduler: 'linspace',
  DPMSolverMultistepScheduler: 'linspace',
  DPMSolverSinglestepScheduler: 'linspace',
  DPMSolverSDEScheduler: 'linspace',
  DEISMultistepScheduler: 'linspace',
  UniPCMultistepScheduler: 'linspace',
};

/** Classes that clip where the file does not say whether; others know no clipping. */
const clipping = ['DDPMScheduler', 'DDPMParallelScheduler', 'DDIMScheduler', 'DDIMParallelScheduler'];

function spacingOfClass(config: SchedulerConfig): TimestepSpacing {
  const name = config._class_name ?? 'PNDMScheduler';
  const spacing = typeof name === 'string' && Object.hasOwn(classSpacing, name) ? classSpacing[name] : undefined;
  if (spacing === undefined) throw fieldError('_class_name', `one of ${Object.keys(classSpacing).join(', ')}`, name);
  return spacing;
}

/** The value instead of 0 keeps the first noise level finite when the terminal signal-to-noise ratio is zero (diffusers' value). */
function sigmasOf(alphasCumprod: Float64Array): Float64Array {
  return alphasCumprod.map((value) => {
    const a = value === 0 ? 2 ** -24 : value;
    return Math.sqrt((1 - a) / a);
  });
}

/**
 * Reads a diffusers `scheduler_config.json`.
 * Absent fields have diffusers' defaults. A field that would change the result and has a value that is not implemented
 * is refused; a field without effect is accepted.
 * @throws ConfigError naming the field
 */
export function noiseSchedule(config: SchedulerConfig): NoiseSchedule {
  const classDefault = spacingOfClass(config);
  requireFields(config, {
    variance_type: ['fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log'],
    use_flow_sigmas: [false],
  });
  const trainTimesteps = readInteger(config, 'num_train_timesteps', 1000, 1, 1_000_000);
  const predictionType = readOneOf(config, 'prediction_type', 'epsilon', ['epsilon', 'v_prediction']);
  const zeroTerminalSnr = readBoolean(config, 'rescale_betas_zero_snr', false);
  if (zeroTerminalSnr && predictionType === 'epsilon') {
    throw fieldError('rescale_betas_zero_snr', 'false with prediction_type "epsilon"', true);
  }
  const { betaSchedule, alphasCumprod } = alphasCumprodTable(config, trainTimesteps, zeroTerminalSnr);
  const clips = readBoolean(config, 'clip_sample', clipping.includes(String(config._class_name)));
  return {
    trainTimesteps,
    predictionType,
    alphasCumprod,
    sigmas: sigmasOf(alphasCumprod),
    betaSchedule,
    timestepSpacing: readOneOf(config, 'timestep_spacing', classDefault, ['leading', 'trailing', 'linspace']),
    stepsOffset: readInteger(config, 'steps_offset', 0, 0, trainTimesteps - 1),
    useKarrasSigmas: readBoolean(config, 'use_karras_sigmas', false),
    setAlphaToOne: readBoolean(config, 'set_alpha_to_one', true),
    clipSampleRange: clips ? readNumber(config, 'clip_sample_range', 1, 0, Number.MAX_VALUE) : undefined,
    config,
  };
}
