import type { SubjectWindow, WeightWindow } from './emphasis.js';
import type { VaeLoss } from './vaeGraphs.js';

/** How a stage learns. The number of samples is fixed before the start. */
export interface StageSettings {
  /** Steps of the whole stage. */
  readonly steps: number;
  readonly learningRate: number;
  /** Steps in which the rate rises from 0; then it falls as a cosine to 0.02 of its top at the end. */
  readonly warmUp: number;
  /** After step `after`, where the first fall ends, the rate rises and falls once more, from another top. */
  readonly again?: { readonly after: number; readonly learningRate: number };
  readonly beta2: number;
  readonly weightDecay: number;
  /** Largest norm of the gradient. */
  readonly clip: number;
  /** Share of the average of the weights that a step keeps, from (1 + step) / (10 + step) up to this. */
  readonly emaDecay: number;
}

export interface VaeSettings extends StageSettings {
  readonly batch: number;
  readonly loss: VaeLoss;
  /** From step `after` + 1 on, values of the subject count 1 + weight times in the loss of the picture. */
  readonly subject: { readonly after: number; readonly weight: number };
}

export interface TextSettings extends StageSettings {
  /** Captions of a step. */
  readonly batch: number;
}

export interface UnetSettings extends StageSettings {
  /** Pictures of a step, each of which is used with `draws` times, noises and captions. */
  readonly pictures: number;
  readonly draws: number;
  /** Share of samples without a caption. */
  readonly captionDropout: number;
  /** Learning rate of the text encoder, as a share of the UNet's. */
  readonly textRate: number;
  /** Steps in which errors where the subject is count more. */
  readonly subject: readonly SubjectWindow[];
  /** Steps in which the UNet's features must also tell the subject's silhouette, by the weight of its mean squared error. */
  readonly silhouette: readonly WeightWindow[];
  /** Times are drawn as T · u^timeExponent from uniform u: below 1, more of them are late. */
  readonly timeExponent: number;
}

/** Everything that the numbers of a run depend on beside the code of the pictures. */
export interface PretrainSettings {
  readonly seed: number;
  /** Of the pictures, pixels. */
  readonly side: number;
  readonly vae: VaeSettings;
  readonly text: TextSettings;
  readonly unet: UnetSettings;
}

const SHARED = { beta2: 0.99, weightDecay: 0.01, clip: 1 } as const;

/**
 * The mini model's run: 7000 × 16 = 112,000 pictures for the autoencoder (6.7 GFLOP each, 0.75 PFLOP), 1000 × 128 captions
 * for the text encoder, 20,000 × 16 × 2 = 640,000 samples for UNet and text encoder together (2.9 GFLOP each, 1.86 PFLOP).
 */
export const MINI_SETTINGS: PretrainSettings = {
  seed: 20_240_501,
  side: 64,
  vae: {
    ...SHARED,
    steps: 7000,
    batch: 16,
    learningRate: 1e-3,
    warmUp: 200,
    again: { after: 4000, learningRate: 7e-4 },
    subject: { after: 4000, weight: 2 },
    emaDecay: 0.995,
    loss: { absolute: 1, squared: 1, edges: 0.5, divergence: 3e-4 },
  },
  text: { ...SHARED, steps: 1000, batch: 128, learningRate: 1e-3, warmUp: 100, emaDecay: 0.995 },
  unet: {
    ...SHARED,
    steps: 20_000,
    pictures: 16,
    draws: 2,
    learningRate: 1e-3,
    warmUp: 300,
    again: { after: 8000, learningRate: 1e-3 },
    emaDecay: 0.9985,
    captionDropout: 0.1,
    textRate: 0.2,
    subject: [
      { first: 1, last: 4500, weight: 3, region: 'silhouette' },
      { first: 8001, last: 17_000, weight: 5, region: 'box' },
    ],
    silhouette: [{ first: 10_877, last: 17_000, weight: 8 }],
    timeExponent: 0.6,
  },
};

type RateSettings = Pick<StageSettings, 'steps' | 'learningRate' | 'warmUp' | 'again'>;

/** Learning rate of a step, 1 for the first. */
export function learningRateAt({ steps, learningRate, warmUp, again }: RateSettings, step: number): number {
  if (again && step > again.after) {
    const rest = { steps: steps - again.after, learningRate: again.learningRate, warmUp };
    return learningRateAt(rest, step - again.after);
  }
  if (step <= warmUp) return (learningRate * step) / warmUp;
  const share = Math.min(1, (step - warmUp) / Math.max(1, (again?.after ?? steps) - warmUp));
  return learningRate * (0.02 + 0.98 * 0.5 * (1 + Math.cos(Math.PI * share)));
}

/** Weights of the old average and of the new values in the average after a step; the first step takes over the values nearly whole. */
export function emaMixAt({ emaDecay }: StageSettings, step: number): Float32Array {
  const keep = Math.min(emaDecay, (1 + step) / (10 + step));
  return Float32Array.of(step === 1 ? 0 : keep, step === 1 ? 1 : 1 - keep);
}
