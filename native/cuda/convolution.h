// Two-dimensional convolution, channels last, with float32 sums, by the graph API of cuDNN. Pointwise windows are matrix products.
#pragma once
#include <cstdint>

#include "core/conv2d_shape.h"

namespace tlora::cuda {

struct Context;

struct Convolution : Conv2dShape {
  DType dtype = DType::f32;  // of x, weight, y and the gradients of x and y
};

// What a convolution's result gets in the same pass, all of its type; nullptr: not.
struct Added {
  const void* bias = nullptr;      // [outs]
  const void* residual = nullptr;  // of y's shape; y may not lie over it
};

// Each queues its work on the context's stream; the plan of a shape is made once and kept, from engines without the non-deterministic
// mark that fit the first kLibraryWorkspaceBytes of the workspace. Throw Error naming shape, status and cuDNN's last message.
// y = x * weight (+ bias) (+ residual), all of the convolution's type.
void convolutionForward(Context& context, const Convolution& shape, const void* x, const void* weight, const Added& added, void* y);
// dx of the convolution's type.
void convolutionDataGradient(Context& context, const Convolution& shape, const void* dy, const void* weight, void* dx);
// dw [outs, kh, kw, c], float32.
void convolutionWeightGradient(Context& context, const Convolution& shape, const void* x, const void* dy, float* dw);

}  // namespace tlora::cuda
