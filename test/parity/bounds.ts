/** Bounds on ‖ours − theirs‖ / ‖theirs‖ in float32: about ten times the reference's own rounding error against float64. */
export const BOUNDS = {
  text: 1e-5,
  vaeEncode: 1e-5,
  vaeDecode: 3e-5,
  unet: 1e-5,
  adapterOutput: 1e-5,
  scheduler: 1e-5,
  loss: 1e-5,
  gradient: 3e-4,
  gradients: 2e-5,
  trained: 3e-3,
  trainedAll: 2e-4,
  sample: 5e-5,
  /** Mean absolute difference of pixels, in levels of 255: the reference prepared the photo with another Lanczos. */
  photo: 1,
  exact: 0,
} as const;

/** Smallest p-value of a Kolmogorov–Smirnov test that passes. */
export const SMALLEST_P = 0.001;
