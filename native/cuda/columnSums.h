// y [batch, c] = factor * sum over rows of x [batch, rows, c]: float32 sums in an order that depends on the sizes alone.
#pragma once
#include "cuda/context.h"

namespace tlora::cuda {

// y holds batch * c elements of any float type. Uses the context's workspace.
void columnSums(Context& context, const Tensor& x, const Tensor& y, int64_t batch, int64_t rows, int64_t c, float factor);

}  // namespace tlora::cuda
