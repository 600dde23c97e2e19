// Operation graphs of cuDNN for convolution. cuDNN's sizes are in the order n, c, h, w whatever the layout; channels last is said by the
// strides. Pointers are named by the Uid of their tensor; that of a gradient is that of what it is the gradient of.
#pragma once
#include "convolution.h"
#include "dnnPlan.h"

namespace tlora::cuda {

enum ConvolutionUid : int64_t { kPicture = 1, kWeight, kOutput, kBias, kSum };

// With a bias the sum before it is float32 and never in memory.
DnnGraph convolutionForwardGraph(const Convolution& shape, bool bias);
DnnGraph convolutionDataGraph(const Convolution& shape);
// `type` of the weight's gradient.
DnnGraph convolutionWeightGraph(const Convolution& shape, cudnnDataType_t type);

}  // namespace tlora::cuda
