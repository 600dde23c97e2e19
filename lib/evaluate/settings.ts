import type { StageSettings } from '../pretrain/settings.js';

/** Sizes of the network; the side of the pictures is the world's. */
export interface EvaluatorSizes {
  /** Channels at 1/2, 1/4, 1/8 and 1/16 of the side. */
  readonly widths: readonly number[];
  /** Groups of every norm. */
  readonly groups: number;
  /** Features that keep where things are. */
  readonly placed: number;
  /** Heads of the attention that gathers features from where they matter; divides the last width. */
  readonly heads: number;
  /** Width of the hidden layers of attributes and of identity. */
  readonly hidden: number;
  /** Length of the identity embedding. */
  readonly identity: number;
  /** Width of the text encoder. */
  readonly text: number;
  /** Length of the embeddings that pictures and texts share. */
  readonly shared: number;
}

/** How the evaluators learn. */
export interface EvaluatorTraining extends StageSettings {
  /** Pictures of shape classes in a step: all attributes and captions. */
  readonly classes: number;
  /** Pictures of sprites in a named colour in a step: all attributes but the shape, and captions. */
  readonly recoloured: number;
  /** Sprites in their own colours in a step, two pictures of each: identity, and all attributes but shape and colour. */
  readonly sprites: number;
  /** Factor on cosines before the softmax, for identities and for pairs of picture and text. */
  readonly sharpness: { readonly identity: number; readonly pair: number };
  /** Weights in the loss, beside 1 for each attribute. */
  readonly weights: { readonly identity: number; readonly pair: number; readonly cover: number };
}

export interface EvaluatorSettings {
  readonly seed: number;
  readonly sizes: EvaluatorSizes;
  readonly training: EvaluatorTraining;
}

/**
 * The evaluators of the package: 1.9 million values, 0.14 GFLOP a picture. 6000 steps of 96 pictures, 0.41 GFLOP each: 0.24 PFLOP.
 */
export const EVALUATOR_SETTINGS: EvaluatorSettings = {
  seed: 20_260_101,
  sizes: {
    widths: [24, 64, 128, 160],
    groups: 8,
    placed: 128,
    heads: 5,
    hidden: 256,
    identity: 128,
    text: 128,
    shared: 64,
  },
  training: {
    steps: 6000,
    learningRate: 1.5e-3,
    warmUp: 150,
    beta2: 0.99,
    weightDecay: 0.02,
    clip: 4,
    emaDecay: 0.995,
    classes: 46,
    recoloured: 14,
    sprites: 18,
    sharpness: { identity: 16, pair: 12 },
    weights: { identity: 1, pair: 0.5, cover: 20 },
  },
};
