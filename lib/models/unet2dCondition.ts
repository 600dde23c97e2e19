// diffusers models/unets/unet_2d_condition.py
import { ConfigError } from '../errors.js';
import type { Value } from '../graph/graph.js';
import { expectRank, expectShape, expectSize } from '../graph/shapes.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { concat } from '../ops/concat.js';
import { reshape } from '../ops/reshape.js';
import { silu } from '../ops/silu.js';
import { timestepFeatures } from '../ops/timestepFeatures.js';
import type { ParamNode } from '../params/paramTree.js';
import { timestepEmbedding } from './embeddings.js';
import { convLayer, groupNormSilu, inside } from './layers.js';
import { downBlock, midBlock, type UnetPass, upBlock } from './unet2dBlocks.js';
import type { UnetConfig } from './unetConfig.js';

export interface UnetInputs {
  /** Noisy latents [n, h, w, c]. */
  readonly sample: Value;
  /** Model time of each sample [n], in training steps (0 to 999; fractions are allowed). */
  readonly timesteps: Value;
  /** Text states [n, s, e]. */
  readonly encoderHiddenStates: Value;
  /** SDXL: pooled text embedding [n, p]. */
  readonly textEmbeds?: Value;
  /** SDXL: original height and width, crop top and left, target height and width [n, 6]. */
  readonly timeIds?: Value;
}

/**
 * UNet2DConditionModel's prediction, [n, h, w, c] like the sample. Any h and w work.
 * @throws ShapeError, FileFormatError (a weight that is absent or of another shape)
 */
export function unet2dCondition(p: ParamNode, config: UnetConfig, inputs: UnetInputs): Value {
  return predictionOf(p, config, unet2dFeatures(p, config, inputs));
}

/** What `conv_out` makes of the features. */
export function predictionOf(p: ParamNode, config: UnetConfig, features: Value): Value {
  return convLayer(p.child('conv_out'), features, { out: config.outChannels, kernel: config.convOutKernel });
}

/** What `conv_out` reads, [n, h, w, channels of the first block]; throws as `unet2dCondition` does. */
export function unet2dFeatures(p: ParamNode, config: UnetConfig, inputs: UnetInputs): Value {
  checkInputs(config, inputs);
  const emb = timeEmbedding(p, config, inputs);
  const siluEmb = inside(p.child('time_embedding'), () => silu(emb));
  const pass: UnetPass = { config, siluEmb, context: inputs.encoderHiddenStates };
  let h = convLayer(p.child('conv_in'), inputs.sample, {
    out: config.down[0]!.channels,
    kernel: config.convInKernel,
  });
  const skips = [h];
  const last = config.down.length - 1;
  config.down.forEach((block, i) => {
    h = downBlock(p.child('down_blocks').child(i), h, block, pass, skips, i === last);
  });
  h = midBlock(p.child('mid_block'), h, config.mid, pass);
  config.up.forEach((block, i) => {
    h = upBlock(p.child('up_blocks').child(i), h, block, pass, skips, i === last);
  });
  return groupNormSilu(p.child('conv_norm_out'), h, { groups: config.normGroups, eps: config.normEps });
}

function checkInputs(config: UnetConfig, { sample, timesteps, encoderHiddenStates }: UnetInputs): void {
  const op = 'unet2dCondition';
  expectRank(op, 'sample', sample, 4);
  expectSize(op, 'channels of sample', sample, sample.shape[3], config.inChannels);
  expectShape(op, 'timesteps', timesteps, [sample.shape[0]!]);
  expectRank(op, 'encoderHiddenStates', encoderHiddenStates, 3);
  expectSize(op, 'batch of encoderHiddenStates', encoderHiddenStates, encoderHiddenStates.shape[0], sample.shape[0]!);
  const width = encoderHiddenStates.shape[2];
  expectSize(op, 'channels of encoderHiddenStates', encoderHiddenStates, width, config.crossAttentionDim);
}

/** time_embedding, plus add_embedding of pooled text and time ids where the model has it: [n, timeEmbedDim]. */
function timeEmbedding(p: ParamNode, config: UnetConfig, inputs: UnetInputs): Value {
  const { flipSinToCos, freqShift, timeEmbedDim } = config;
  const features = inside(p.child('time_proj'), () =>
    cast(
      timestepFeatures(inputs.timesteps, { dim: config.down[0]!.channels, flipSinToCos, freqShift }),
      inputs.sample.dtype,
    ),
  );
  const emb = timestepEmbedding(p.child('time_embedding'), features, timeEmbedDim);
  if (!config.textTime) return emb;
  const { textEmbeds, timeIds } = inputs;
  if (!textEmbeds || !timeIds) {
    throw new ConfigError('[unet2dCondition] this model needs textEmbeds and timeIds (addition_embed_type text_time)');
  }
  const { timeDim, inputDim } = config.textTime;
  const ids = timeIds.shape[1]!;
  const n = inputs.sample.shape[0]!;
  const addition = inside(p.child('add_time_proj'), () => {
    const idFeatures = timestepFeatures(reshape(timeIds, [n * ids]), { dim: timeDim, flipSinToCos, freqShift });
    const joined = concat(textEmbeds, cast(reshape(idFeatures, [n, ids * timeDim]), textEmbeds.dtype));
    expectSize('unet2dCondition', 'width of textEmbeds and timeIds', joined, joined.shape[1], inputDim);
    return joined;
  });
  const aug = timestepEmbedding(p.child('add_embedding'), addition, timeEmbedDim);
  return inside(p.child('add_embedding'), () => add(emb, aug));
}
