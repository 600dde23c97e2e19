// Operation graphs of cuDNN for convolution. cuDNN's sizes are in the order n, c, h, w whatever the layout; channels last is said by the
// strides. Pointers are named by the Uid of their tensor; that of a gradient is that of what it is the gradient of.
#pragma once
#include "convolution.h"
#include "dnnPlan.h"

namespace tlora::cuda {

enum ConvolutionUid : int64_t { kPicture = 1, kWeight, kOutput, kBias, kSum, kResidual, kSumWithResidual };

// What is added to the sums: never in memory, they are float32 until the end. The residual comes before the bias, the other way around, or
// without one, no engine of cuDNN 9.24 knows it.
enum class Addends { none, bias, residualAndBias };
DnnGraph convolutionForwardGraph(const Convolution& shape, Addends addends);
DnnGraph convolutionDataGraph(const Convolution& shape);
// `type` of the weight's gradient.
DnnGraph convolutionWeightGraph(const Convolution& shape, cudnnDataType_t type);

}  // namespace tlora::cuda
