/** erf in float64: e^(−x²) · 2/√π · Σ 2ⁿ x^(2n+1) / (2n+1)!!, all terms of one sign, so nothing cancels; ±1 from 6 on. */
export function erf(x: number): number {
  if (Math.abs(x) >= 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
