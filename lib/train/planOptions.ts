import { z } from 'zod';
import { checkOptions } from '../options/checkOptions.js';
import { device, oneOf, positive, precision, text, whole } from '../options/fields.js';
import type { DeviceWish } from '../pipeline/device.js';
import type { Precision } from '../pipeline/precision.js';
import { parseByteSize } from '../plan/byteSize.js';

const schema = z.strictObject({
  model: text,
  config: text.optional(),
  resolution: whole(64).optional(),
  batch: whole(1).default(1),
  accumulate: whole(1).default(1),
  rank: whole(1).default(64),
  variant: oneOf(['lora', 'vanilla', 'ortho', 'tlora']).default('tlora'),
  precision: precision.optional(),
  device: device.default('auto'),
  memory: z.union([text, positive]).optional(),
  threads: whole(1).optional(),
});

/** Options of `planTraining`; the meanings and defaults of `train`'s. */
export interface PlanTrainingOptions {
  model: string;
  config?: string | undefined;
  resolution?: number | undefined;
  batch?: number | undefined;
  accumulate?: number | undefined;
  rank?: number | undefined;
  variant?: 'lora' | 'vanilla' | 'ortho' | 'tlora' | undefined;
  /** As `train` has it; default fp32 on the CPU, bf16 on CUDA. */
  precision?: Precision | undefined;
  /** No device is looked for: `auto` is the CPU, or CUDA where the precision is none of the CPU's. */
  device?: DeviceWish | undefined;
  memory?: string | number | undefined;
  threads?: number | undefined;
}

type Optional = 'config' | 'resolution' | 'threads' | 'precision';

/** Options with every default filled in; `memory` has become bytes. */
export type ResolvedPlanOptions = {
  [K in Exclude<keyof PlanTrainingOptions, Optional | 'memory'>]-?: Exclude<PlanTrainingOptions[K], undefined>;
} & Pick<PlanTrainingOptions, Optional> & { memory: number | undefined };

/**
 * Checks options and fills in defaults.
 * @throws ConfigError
 */
export function resolvePlanOptions(given: PlanTrainingOptions): ResolvedPlanOptions {
  const { memory, ...rest } = checkOptions('planTraining', schema, given);
  return { ...rest, memory: memory === undefined ? undefined : parseByteSize(memory, 'memory') };
}
