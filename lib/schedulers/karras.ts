/**
 * Noise levels of Karras et al. 2022 (arXiv 2206.00364, eq. 5, ρ = 7): n falling values, (σmax^⅐ + i/(n−1)·(σmin^⅐ −
 * σmax^⅐))⁷. Both ends are exact, so that the last step's timestep is not a rounding error above a training timestep.
 */
export function karrasSigmas(sigmaMax: number, sigmaMin: number, n: number): Float64Array {
  const rho = 7;
  const from = sigmaMax ** (1 / rho);
  const to = sigmaMin ** (1 / rho);
  return Float64Array.from({ length: n }, (_, i) => {
    if (i === 0) return sigmaMax;
    if (i === n - 1) return sigmaMin;
    return (from + (i / (n - 1)) * (to - from)) ** rho;
  });
}

/**
 * Fractional index of `sigma` in the rising table, linear in log σ, clamped to the table. Inverse of its
 * interpolation.
 */
export function sigmaToTimestep(sigma: number, table: Float64Array): number {
  const position = table.findLastIndex((value) => value <= sigma);
  const low = Math.max(0, Math.min(position, table.length - 2));
  const logLow = Math.log(table[low]!);
  const logHigh = Math.log(table[low + 1] ?? table[low]!);
  if (logHigh === logLow) return low;
  return low + Math.min(1, Math.max(0, (Math.log(sigma) - logLow) / (logHigh - logLow)));
}
