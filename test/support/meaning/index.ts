import type { Meaning } from '../interpreter.js';
import { meanings as accumulate } from './accumulate.js';
import { meanings as adamw } from './adamw.js';
import { meanings as add } from './add.js';
import { meanings as addPerSample } from './addPerSample.js';
import { meanings as addRows } from './addRows.js';
import { meanings as attention } from './attention.js';
import { meanings as cast } from './cast.js';
import { meanings as complementFrame } from './complementFrame.js';
import { meanings as concat } from './concat.js';
import { meanings as conv2d } from './conv2d.js';
import { meanings as conv2dResidual } from './conv2dResidual.js';
import { meanings as crossAttention } from './crossAttention.js';
import { meanings as embedding } from './embedding.js';
import { meanings as exp } from './exp.js';
import { meanings as gatherRows } from './gatherRows.js';
import { meanings as gaussianSingularValues } from './gaussianSingularValues.js';
import { meanings as geglu } from './geglu.js';
import { meanings as gelu } from './gelu.js';
import { meanings as gradNorm } from './gradNorm.js';
import { meanings as groupNorm } from './groupNorm.js';
import { meanings as klDivergence } from './klDivergence.js';
import { meanings as l2Normalize } from './l2Normalize.js';
import { meanings as layerNorm } from './layerNorm.js';
import { meanings as linear } from './linear.js';
import { meanings as linearResidual } from './linearResidual.js';
import { meanings as lowRank } from './lowRank.js';
import { meanings as lowRankBranch } from './lowRankBranch.js';
import { meanings as lowRankFactors } from './lowRankFactors.js';
import { meanings as mae } from './mae.js';
import { meanings as meanRows } from './meanRows.js';
import { meanings as mergedLinear } from './mergedLinear.js';
import { meanings as mixPerSample } from './mixPerSample.js';
import { meanings as mse } from './mse.js';
import { meanings as multiplyAdd } from './multiplyAdd.js';
import { meanings as qrFrame } from './qrFrame.js';
import { meanings as randomNormal } from './randomNormal.js';
import { meanings as randomUniform } from './randomUniform.js';
import { meanings as recordStep } from './recordStep.js';
import { meanings as retract } from './retract.js';
import { meanings as scale } from './scale.js';
import { meanings as selfAttention } from './selfAttention.js';
import { meanings as silu } from './silu.js';
import { meanings as slice } from './slice.js';
import { meanings as softmaxCrossEntropy } from './softmaxCrossEntropy.js';
import { meanings as sumPerSample } from './sumPerSample.js';
import { meanings as sumSamples } from './sumSamples.js';
import { meanings as svdComponents } from './svdComponents.js';
import { meanings as timestepFeatures } from './timestepFeatures.js';
import { meanings as upsampleNearest } from './upsampleNearest.js';

/** The float64 meaning of every op, one file an op. */
export const meanings: Record<string, Meaning> = {
  ...accumulate,
  ...adamw,
  ...add,
  ...addPerSample,
  ...addRows,
  ...attention,
  ...cast,
  ...complementFrame,
  ...concat,
  ...conv2d,
  ...conv2dResidual,
  ...crossAttention,
  ...embedding,
  ...exp,
  ...gatherRows,
  ...gaussianSingularValues,
  ...geglu,
  ...gelu,
  ...gradNorm,
  ...groupNorm,
  ...klDivergence,
  ...l2Normalize,
  ...layerNorm,
  ...linear,
  ...linearResidual,
  ...lowRank,
  ...lowRankBranch,
  ...lowRankFactors,
  ...mae,
  ...meanRows,
  ...mergedLinear,
  ...mixPerSample,
  ...mse,
  ...multiplyAdd,
  ...qrFrame,
  ...randomNormal,
  ...randomUniform,
  ...recordStep,
  ...retract,
  ...scale,
  ...selfAttention,
  ...silu,
  ...slice,
  ...softmaxCrossEntropy,
  ...sumPerSample,
  ...sumSamples,
  ...svdComponents,
  ...timestepFeatures,
  ...upsampleNearest,
};
