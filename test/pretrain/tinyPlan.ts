import { miniConfigs } from '../../lib/pretrain/miniModel.js';
import type { LearnedPicture } from '../../lib/pretrain/pictures.js';
import type { PretrainPlan } from '../../lib/pretrain/pretrain.js';
import { MINI_SETTINGS } from '../../lib/pretrain/settings.js';
import { tokenizerFiles } from '../../lib/pretrain/tokenizerFiles.js';

const SIDE = 16;
const COLOURS = { red: [220, 30, 40], green: [40, 190, 60], blue: [30, 60, 210] } as const;
const NAMES = Object.keys(COLOURS) as (keyof typeof COLOURS)[];

/** A square of one colour on grey, at a place that follows from the index. */
function square(index: number): LearnedPicture {
  const name = NAMES[index % NAMES.length]!;
  const pixels = new Uint8Array(SIDE * SIDE * 3).fill(128);
  const alpha = new Uint8Array(SIDE * SIDE);
  const [left, top] = [index % 7, (index * 3) % 8];
  for (let y = top; y < top + 8; y++) {
    alpha.fill(255, y * SIDE + left, y * SIDE + left + 8);
    for (let x = left; x < left + 8; x++) pixels.set(COLOURS[name], (y * SIDE + x) * 3);
  }
  return { pixels, alpha, caption: (draw) => (draw === 0 ? `a ${name} square` : name) };
}

/** A model of the mini model's build that trains in milliseconds. */
export function tinyPlan(): PretrainPlan {
  const tokenizer = tokenizerFiles(['a', 'square', ...NAMES], 8);
  const mini = miniConfigs(tokenizer.vocabularySize);
  const { vae, text, unet } = MINI_SETTINGS;
  return {
    configs: {
      ...mini,
      vae: { ...mini.vae, block_out_channels: [8, 8, 16], norm_num_groups: 4, sample_size: SIDE },
      unet: {
        ...mini.unet,
        attention_head_dim: [1, 2, 2],
        block_out_channels: [8, 16, 16],
        cross_attention_dim: 12,
        norm_num_groups: 4,
        sample_size: SIDE / 4,
      },
      text_encoder: {
        ...mini.text_encoder,
        hidden_size: 12,
        intermediate_size: 16,
        max_position_embeddings: 8,
        num_hidden_layers: 2,
        projection_dim: 12,
      },
    },
    settings: {
      seed: 7,
      side: SIDE,
      vae: {
        ...vae,
        steps: 6,
        batch: 3,
        warmUp: 2,
        again: { after: 4, learningRate: 1e-3 },
        subject: { after: 4, weight: 2 },
      },
      text: { ...text, steps: 6, batch: 3, warmUp: 2 },
      unet: {
        ...unet,
        steps: 6,
        pictures: 2,
        draws: 2,
        warmUp: 2,
        subject: [{ first: 1, last: 4, weight: 3, region: 'silhouette' }],
        silhouette: [{ first: 3, last: 5, weight: 2 }],
      },
    },
    pictures: square,
    captions: {
      values: { colour: NAMES, shape: ['square'] },
      draw: (index) => {
        const colour = NAMES[index % NAMES.length]!;
        return index % 2 === 0
          ? { text: `a ${colour} square`, stated: { colour, shape: 'square' } }
          : { text: colour, stated: { colour } };
      },
    },
    tokenizer,
    prompts: ['a red square', 'blue'],
  };
}
