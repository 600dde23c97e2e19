/** Sizes of an adapter's factors; plain: up and down alone, diagonal: with lambda, start: with a frozen start, too. */
export interface FactorSizes {
  width: number;
  out: number;
  r: number;
  form: 'plain' | 'diagonal' | 'start';
}

/** Shapes of the trained factors. */
export const trainedShapes = ({ width, out, r, form }: FactorSizes): Record<string, number[]> => ({
  up: [out, r],
  down: [r, width],
  ...(form === 'plain' ? {} : { lambda: [r] }),
});

/** Shapes of the frozen start, if there is one. */
export const startShapes = ({ width, out, r, form }: FactorSizes): Record<string, number[]> =>
  form === 'start' ? { up0: [out, r], down0: [r, width], lambda0: [r] } : {};
