#pragma once
#include <cuda_runtime.h>

#include "core/error.h"

namespace tlora::cuda {

// Turns a CUDA error into an Error; `what` names what was tried.
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) fail(kDevice, "%s: %s (%s)", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace tlora::cuda
