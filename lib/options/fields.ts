import { z } from 'zod';

/** A whole number of at least `least`, below 2⁵³. */
export function whole(least: number): z.ZodNumber {
  const error = `expected a whole number of at least ${least}`;
  const isLarge = (input: unknown): boolean => typeof input === 'number' && input > Number.MAX_SAFE_INTEGER;
  return z
    .int({ error: ({ input }) => (isLarge(input) ? 'expected a whole number below 2⁵³' : error) })
    .min(least, error);
}

export function atLeast(least: number): z.ZodNumber {
  const error = `expected a number of at least ${least}`;
  return z.number({ error }).min(least, error);
}

const aboveZero = 'expected a number above 0';
export const positive: z.ZodNumber = z.number({ error: aboveZero }).positive(aboveZero);

export const text: z.ZodString = z.string({ error: 'expected a text' }).min(1, 'expected a text that is not empty');

export const flag: z.ZodBoolean = z.boolean({ error: 'expected true or false' });

export const signal: z.ZodType<AbortSignal> = z.instanceof(AbortSignal, { error: 'expected an AbortSignal' });

export function oneOf<const T extends string>(values: readonly T[]): z.ZodEnum<{ [K in T]: K }> {
  return z.enum(values as readonly [T, ...T[]], { error: `expected one of ${values.join(', ')}` }) as z.ZodEnum<{
    [K in T]: K;
  }>;
}

/** Which device is to compute. */
export const device: z.ZodType<'auto' | 'cpu' | 'cuda' | `cuda:${number}`> = z.custom<
  'auto' | 'cpu' | 'cuda' | `cuda:${number}`
>(
  (value) => typeof value === 'string' && /^(auto|cpu|cuda(:\d{1,3})?)$/.test(value),
  'expected auto, cpu, cuda or cuda:N',
);

export const precision: z.ZodEnum<{ bf16: 'bf16'; fp16: 'fp16'; tf32: 'tf32'; fp32: 'fp32' }> = oneOf([
  'bf16',
  'fp16',
  'tf32',
  'fp32',
]);
