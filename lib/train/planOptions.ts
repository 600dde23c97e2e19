import { z } from 'zod';
import { checkOptions } from '../options/checkOptions.js';
import { oneOf, positive, text, whole } from '../options/fields.js';
import { parseByteSize } from '../plan/byteSize.js';

const schema = z.strictObject({
  model: text,
  resolution: whole(64).optional(),
  batch: whole(1).default(1),
  accumulate: whole(1).default(1),
  rank: whole(1).default(64),
  variant: oneOf(['lora', 'vanilla', 'ortho', 'tlora']).default('tlora'),
  precision: oneOf(['fp32', 'bf16', 'fp16']).default('fp32'),
  device: oneOf(['auto', 'cpu', 'cuda']).default('auto'),
  memory: z.union([text, positive]).optional(),
  threads: whole(1).optional(),
});

/** Options of `planTraining`; the meanings and defaults of `train`'s. */
export interface PlanTrainingOptions {
  model: string;
  resolution?: number | undefined;
  batch?: number | undefined;
  accumulate?: number | undefined;
  rank?: number | undefined;
  variant?: 'lora' | 'vanilla' | 'ortho' | 'tlora' | undefined;
  /** Type of activations: fp32 (the CPU's, the default), or bf16 and fp16 as a GPU would have them. */
  precision?: 'fp32' | 'bf16' | 'fp16' | undefined;
  device?: 'auto' | 'cpu' | 'cuda' | undefined;
  memory?: string | number | undefined;
  threads?: number | undefined;
}

type Optional = 'resolution' | 'threads';

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
