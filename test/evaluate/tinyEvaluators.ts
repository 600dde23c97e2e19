import { EVALUATOR_SETTINGS, type EvaluatorSettings } from '../../lib/evaluate/settings.js';

/** Evaluators that train in milliseconds, and judge as badly as that. */
export function tinyEvaluators(steps = 6): EvaluatorSettings {
  return {
    seed: 5,
    sizes: { widths: [8, 8, 8, 8], groups: 4, placed: 8, heads: 2, hidden: 16, identity: 8, text: 12, shared: 8 },
    training: {
      ...EVALUATOR_SETTINGS.training,
      ...{ steps, warmUp: 2, classes: 4, recoloured: 2, sprites: 2 },
    },
  };
}
