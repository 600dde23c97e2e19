// Handles of cuBLASLt and cuDNN, their execution plans, and the algorithm that each shape uses. One per opened device;
// Context::libraries points to it. The emulated build has a twin of every function here in test/support/cuda.
#pragma once
#include <cuda_runtime.h>

#include <string>
#include <string_view>

#include "core/backend.h"

namespace tlora::cuda {

struct Libraries;

// Opens both libraries for the current device; their work goes to `stream`. Throws Error (kDevice).
Libraries* openLibraries(cudaStream_t stream);
void closeLibraries(Libraries* libraries);

// The algorithms chosen so far as a small JSON text: {"format": 1, "device": …, "cublasLt": …, "cudnn": …, "choices": {shape: algorithm}}.
// The same choices give the same bits, so a run keeps them beside its checkpoints.
std::string exportChoices(const Libraries& libraries);
// Takes choices before the first use of their shapes. false: the text is not such a file, or it was written on another kind of device or
// with other versions of the libraries; nothing is taken then, and the reason says which.
bool importChoices(Libraries& libraries, std::string_view json, Reason& reason);

}  // namespace tlora::cuda
