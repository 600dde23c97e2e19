// What a CUDA op gets beside its call. An op queues work on the stream and returns: no synchronisation, no allocation, no
// reading of device memory on the host, because the same calls are recorded once and replayed as a graph.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

#include "check.h"
#include "core/kernel.h"

namespace tlora::cuda {

// cuBLASLt and cuDNN (libraries.h).
struct Libraries;
class Stopwatch;

struct Context {
  cudaStream_t stream = nullptr;
  // Device memory for the length of one op, 256-byte aligned; the next op on the stream may overwrite it.
  void* workspace = nullptr;
  size_t workspaceBytes = 0;
  // More for the gradient of attention alone, or nullptr.
  void* attention = nullptr;
  size_t attentionBytes = 0;
  int multiprocessors = 0;
  int capability = 0;      // 10 * major + minor: 90 for Hopper
  size_t sharedBytes = 0;  // the most shared memory that one block may ask for
  bool tf32 = false;       // float32 products may use TF32
  bool dependentLaunches = false;  // dependents.h
  Libraries* libraries = nullptr;
  Stopwatch* stopwatch = nullptr;  // nullptr: algorithms are not tried against each other (trials.h), the libraries' first is taken
};

// Every device has this much workspace; engines of the libraries that want more are not chosen.
constexpr size_t kDeviceWorkspaceBytes = size_t{64} << 20;

using Op = void (*)(const Call&, Context&);

}  // namespace tlora::cuda
