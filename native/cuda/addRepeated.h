// z = x + y where y repeats: element i of x takes y[i / group * period + i % period]. z may lie over x.
#pragma once
#include "cuda/context.h"

namespace tlora::cuda {

void addRepeated(Context& context, const Tensor& x, const Tensor& y, const Tensor& z, int64_t group, int64_t period);

}  // namespace tlora::cuda
