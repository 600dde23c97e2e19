#pragma once
#include "context.h"

namespace tlora::cuda {

// Queues a search for elements of a float tensor that are infinite or NaN: the least index, or INT64_MAX, will be the first
// int64 of the workspace.
void findNonFinite(const Tensor& tensor, Context& context);

}  // namespace tlora::cuda
