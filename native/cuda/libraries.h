// Handles of cuBLASLt and cuDNN, their execution plans, and the algorithm that each shape uses. One per opened device;
// Context::libraries points to it. The emulated build has a twin of every function here in test/support/cuda.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "context.h"
#include "core/backend.h"

namespace tlora::cuda {

// The libraries use at most this much, from the beginning of Context::workspace. An op may keep something of its own behind it while it
// calls them.
constexpr size_t kLibraryWorkspaceBytes = size_t{48} << 20;

// The workspace behind that of the libraries; nullptr where it has fewer bytes.
inline void* opWorkspace(const Context& context, size_t bytes) {
  if (context.workspaceBytes < kLibraryWorkspaceBytes || bytes > context.workspaceBytes - kLibraryWorkspaceBytes) return nullptr;
  return static_cast<char*>(context.workspace) + kLibraryWorkspaceBytes;
}

// Opens both libraries for the current device; their work goes to `stream`. Throws Error (kDevice).
Libraries* openLibraries(cudaStream_t stream);
void closeLibraries(Libraries* libraries);

// The algorithms chosen so far as a small JSON text: {"format": 1, "device": …, "cublasLt": …, "cudnn": …, "choices": {shape: algorithm},
// "times": {shape: what it took, where several were tried}}.
// The same choices give the same bits, so a run keeps them beside its checkpoints.
std::string exportChoices(const Libraries& libraries);
// Takes choices before the first use of their shapes, or as suggestions: those that cannot be used again are passed over. false: the text is not such a file, or it was written on another kind of device or
// with other versions of the libraries; nothing is taken then, and the reason says which.
bool importChoices(Libraries& libraries, std::string_view json, bool suggestions, Reason& reason);

}  // namespace tlora::cuda
