/** How noisy each training time is: log(signal² / noise²) falls from `first` to `last`, steepest at both ends. */
export interface NoiseCurve {
  readonly first: number;
  readonly last: number;
  /** Added to that of the cosine schedule between the ends: small pictures keep their layout under more noise than large ones. */
  readonly shift: number;
}

/** log-SNR at each of `steps` times: −2 ln tan(angle) + shift, the angle in even steps (arXiv 2301.11093, equations 2 and 4). */
export function logSnrAt({ first, last, shift }: NoiseCurve, steps: number): number[] {
  const angle = (logSnr: number): number => Math.atan(Math.exp((shift - logSnr) / 2));
  const [from, to] = [angle(first), angle(last)];
  return Array.from(
    { length: steps },
    (_, t) => shift - 2 * Math.log(Math.tan(from + ((to - from) * t) / (steps - 1))),
  );
}

/** The betas of a curve, eight digits each, for a scheduler's `trained_betas`. */
export function betasOf(curve: NoiseCurve, steps: number): number[] {
  const kept = logSnrAt(curve, steps).map((logSnr) => 1 / (1 + Math.exp(-logSnr)));
  return kept.map((share, t) => Number((1 - share / (t === 0 ? 1 : kept[t - 1]!)).toPrecision(8)));
}
