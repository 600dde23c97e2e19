#pragma once
#include <cuda_runtime.h>

#include <string>

#include "core/error.h"

namespace tlora::cuda {

// What a CUDA error means for whoever runs tlora, and its name.
std::string meaning(cudaError_t status);

// Turns a CUDA error into an Error; `what` names what was tried.
[[noreturn]] void failCuda(cudaError_t status, const char* what);

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) failCuda(status, what);
}

}  // namespace tlora::cuda
