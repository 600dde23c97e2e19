// What cuBLASLt and cuDNN keep for one opened device: handles, execution plans, and which algorithm each shape uses.
// Context::libraries points to it. The emulated build has a twin of every function here in test/support/cuda.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/backend.h"

namespace tlora::cuda {

struct Context;
struct Libraries;

// Bytes of Context::workspace that the libraries are written for: what cuBLASLt recommends from Hopper on.
constexpr size_t kLibraryWorkspaceBytes = size_t{32} << 20;

// Opens cuBLASLt and cuDNN on the current device. nullptr: one of them cannot be used, and the reason says why.
Libraries* openLibraries(Reason& reason);
void closeLibraries(Libraries* libraries);

// The algorithms chosen so far as a small JSON text: {"format": 1, "device": …, "cublasLt": …, "cudnn": …, "choices": {shape: algorithm}}.
// The same choices give the same bits, so a run keeps them beside its checkpoints.
std::string exportChoices(const Libraries& libraries);
// Takes choices before the first use of their shapes. false: the text is not such a file, or it was written on another kind of device or
// with other versions of the libraries; nothing is taken then, and the reason says which.
bool importChoices(Libraries& libraries, std::string_view json, Reason& reason);

}  // namespace tlora::cuda
