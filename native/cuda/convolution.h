// Two-dimensional convolution, channels last, with float32 sums, by the graph API of cuDNN. Pointwise windows are matrix products.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace tlora::cuda {

struct Context;

// y [n, oh, ow, outs] = cross-correlation of x [n, h, w, c] with weight [outs, kh, kw, c]; zeros around x.
struct Convolution {
  DType dtype = DType::f32;  // of x, weight, y and the gradients of x and y
  int64_t n = 0, h = 0, w = 0, c = 0;
  int64_t outs = 0, kh = 0, kw = 0;
  int64_t oh = 0, ow = 0;
  int64_t stride = 1, padTop = 0, padLeft = 0, padBottom = 0, padRight = 0;
};

// Each queues its work on the context's stream; the plan of a shape is made once and kept, from engines without the non-deterministic
// mark that fit the first kLibraryWorkspaceBytes of the workspace. Throw Error naming shape, status and cuDNN's last message.
// y = x * weight (+ bias [outs]), all of the convolution's type; bias may be nullptr.
void convolutionForward(Context& context, const Convolution& shape, const void* x, const void* weight, const void* bias, void* y);
// dx of the convolution's type.
void convolutionDataGradient(Context& context, const Convolution& shape, const void* dy, const void* weight, void* dx);
// dw [outs, kh, kw, c], float32.
void convolutionWeightGradient(Context& context, const Convolution& shape, const void* x, const void* dy, float* dw);

}  // namespace tlora::cuda
