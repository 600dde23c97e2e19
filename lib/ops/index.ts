import type { Op } from '../graph/graph.js';
import { accumulateOp } from './accumulate.js';
import { adamwOp } from './adamw.js';
import { addOp } from './add.js';
import { addPerSampleOp } from './addPerSample.js';
import { addRowsOp } from './addRows.js';
import { attentionOp, attentionVjpOp } from './attention.js';
import { castOp } from './cast.js';
import { complementFrameOp } from './complementFrame.js';
import { concatOp } from './concat.js';
import { conv2dOp, conv2dVjpOp } from './conv2d.js';
import { conv2dResidualOp } from './conv2dResidual.js';
import { crossAttentionOp, crossAttentionVjpOp } from './crossAttention.js';
import { embeddingOp, embeddingVjpOp } from './embedding.js';
import { expOp, expVjpOp } from './exp.js';
import { gatherRowsOp, gatherRowsVjpOp } from './gatherRows.js';
import { gaussianSingularValuesOp } from './gaussianSingularValues.js';
import { gegluOp, gegluVjpOp } from './geglu.js';
import { geluOp, geluVjpOp } from './gelu.js';
import { gradNormOp } from './gradNorm.js';
import { groupNormOp, groupNormVjpOp } from './groupNorm.js';
import { klDivergenceOp, klDivergenceVjpOp } from './klDivergence.js';
import { l2NormalizeOp, l2NormalizeVjpOp } from './l2Normalize.js';
import { layerNormOp, layerNormVjpOp } from './layerNorm.js';
import { linearOp, linearVjpOp } from './linear.js';
import { linearResidualOp, linearResidualVjpOp } from './linearResidual.js';
import { lowRankOp, lowRankVjpOp } from './lowRank.js';
import { lowRankBranchOp, lowRankBranchVjpOp } from './lowRankBranch.js';
import { lowRankFactorsOp, lowRankFactorsVjpOp } from './lowRankFactors.js';
import { maeOp, maeVjpOp } from './mae.js';
import { meanRowsOp, meanRowsVjpOp } from './meanRows.js';
import { mergedLinearOp, mergedLinearVjpOp } from './mergedLinear.js';
import { mixPerSampleOp, mixPerSampleVjpOp } from './mixPerSample.js';
import { mseOp, mseVjpOp } from './mse.js';
import { multiplyAddOp, multiplyAddVjpOp } from './multiplyAdd.js';
import { qrFrameOp } from './qrFrame.js';
import { randomNormalOp } from './randomNormal.js';
import { randomUniformOp } from './randomUniform.js';
import { recordStepOp } from './recordStep.js';
import { reshapeOp } from './reshape.js';
import { retractOp } from './retract.js';
import { scaleOp } from './scale.js';
import { selfAttentionOp, selfAttentionVjpOp } from './selfAttention.js';
import { siluOp, siluVjpOp } from './silu.js';
import { sliceOp, sliceVjpOp } from './slice.js';
import { softmaxCrossEntropyOp, softmaxCrossEntropyVjpOp } from './softmaxCrossEntropy.js';
import { sumPerSampleOp } from './sumPerSample.js';
import { sumSamplesOp } from './sumSamples.js';
import { svdComponentsOp } from './svdComponents.js';
import { timestepFeaturesOp } from './timestepFeatures.js';
import { upsampleNearestOp, upsampleNearestVjpOp } from './upsampleNearest.js';

export * from './accumulate.js';
export * from './adamw.js';
export * from './add.js';
export * from './addPerSample.js';
export * from './addRows.js';
export * from './attention.js';
export * from './cast.js';
export * from './complementFrame.js';
export * from './concat.js';
export * from './conv2d.js';
export * from './crossAttention.js';
export * from './embedding.js';
export * from './exp.js';
export * from './gatherRows.js';
export * from './gaussianSingularValues.js';
export * from './geglu.js';
export * from './gelu.js';
export * from './gradNorm.js';
export * from './groupNorm.js';
export * from './klDivergence.js';
export * from './l2Normalize.js';
export * from './layerNorm.js';
export * from './linear.js';
export * from './lowRank.js';
export * from './lowRankBranch.js';
export * from './lowRankFactors.js';
export * from './mae.js';
export * from './meanRows.js';
export * from './mixPerSample.js';
export * from './mse.js';
export * from './multiplyAdd.js';
export * from './qrFrame.js';
export * from './randomNormal.js';
export * from './randomUniform.js';
export * from './recordStep.js';
export * from './reshape.js';
export * from './retract.js';
export * from './scale.js';
export * from './selfAttention.js';
export * from './silu.js';
export * from './slice.js';
export * from './softmaxCrossEntropy.js';
export * from './sumPerSample.js';
export * from './sumSamples.js';
export * from './svdComponents.js';
export * from './timestepFeatures.js';
export * from './upsampleNearest.js';

/** Every op: what a program may hold, and what each backend must have a kernel for (unless `kernel` is false). */
export const ops: readonly Op[] = [
  accumulateOp,
  adamwOp,
  addOp,
  addPerSampleOp,
  addRowsOp,
  attentionOp,
  attentionVjpOp,
  castOp,
  complementFrameOp,
  concatOp,
  conv2dOp,
  conv2dResidualOp,
  conv2dVjpOp,
  crossAttentionOp,
  crossAttentionVjpOp,
  embeddingOp,
  embeddingVjpOp,
  expOp,
  expVjpOp,
  gatherRowsOp,
  gatherRowsVjpOp,
  gaussianSingularValuesOp,
  gegluOp,
  gegluVjpOp,
  geluOp,
  geluVjpOp,
  gradNormOp,
  groupNormOp,
  groupNormVjpOp,
  klDivergenceOp,
  klDivergenceVjpOp,
  l2NormalizeOp,
  l2NormalizeVjpOp,
  layerNormOp,
  layerNormVjpOp,
  linearOp,
  linearResidualOp,
  linearResidualVjpOp,
  linearVjpOp,
  lowRankOp,
  lowRankVjpOp,
  lowRankBranchOp,
  lowRankBranchVjpOp,
  lowRankFactorsOp,
  lowRankFactorsVjpOp,
  maeOp,
  maeVjpOp,
  meanRowsOp,
  meanRowsVjpOp,
  mergedLinearOp,
  mergedLinearVjpOp,
  mixPerSampleOp,
  mixPerSampleVjpOp,
  mseOp,
  mseVjpOp,
  multiplyAddOp,
  multiplyAddVjpOp,
  qrFrameOp,
  randomNormalOp,
  randomUniformOp,
  recordStepOp,
  reshapeOp,
  retractOp,
  scaleOp,
  selfAttentionOp,
  selfAttentionVjpOp,
  siluOp,
  siluVjpOp,
  sliceOp,
  sliceVjpOp,
  softmaxCrossEntropyOp,
  softmaxCrossEntropyVjpOp,
  sumPerSampleOp,
  sumSamplesOp,
  svdComponentsOp,
  timestepFeaturesOp,
  upsampleNearestOp,
  upsampleNearestVjpOp,
];
