// The emulation of the CUDA execution model that tests compile kernels against: what the emulated headers share.
// A block's threads are fibers of one host thread. A thread runs until it waits for others: a kernel without barriers costs plain
// calls. With TLORA_EMULATE_CHECK=1 every access of a kernel to shared and global memory is checked (see accessChecks.cpp).
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>

#include "runtime_api.h"

#ifndef TLORA_PTX_MACHINE
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
#endif

namespace tlora::emulated {

// What went wrong inside a kernel; thrown by the call that ran it.
struct Fault : std::runtime_error {
  using runtime_error::runtime_error;
};

// The thread of a kernel that runs now.
struct Running {
  dim3 thread, block, blockDim, gridDim;
  unsigned linear = 0;      // of the thread in its block
  unsigned epoch = 0;       // barriers of the block so far
  unsigned warpEpoch = 0;   // barriers of the warp so far
  bool inKernel = false;
  bool waited = false;      // for the kernel before
  const char* shared = nullptr;  // the block's shared memory
};
extern constinit thread_local Running running __attribute__((tls_model("initial-exec")));

// Whether accesses are checked.
bool checking();

// Ends the running kernel with a message; outside of kernels, throws it.
[[noreturn]] void fault(const std::string& message);

// Runs a kernel, or records it; `body` is one thread.
cudaError_t launch(Stream* stream, dim3 grid, dim3 block, size_t sharedBytes, std::function<void()> body);

// The thread has waited for the kernel before. Every thread of every kernel must, before it touches device memory.
void waitForPrevious();

// Waits for all threads of the block and gives how many passed a value that is not 0.
int blockBarrier(bool value, const std::source_location& at);

enum class WarpOp { sync, exchange };
// Waits for the lanes of `mask`; each gives 8 bytes and gets those of all (valid until the lane's next call).
const uint64_t* warpRendezvous(WarpOp op, unsigned mask, uint64_t value, const std::source_location& at);

struct SharedRange {
  char* data;
  size_t bytes;
};
// The block's array of that identity, made by the first thread that asks.
SharedRange sharedArray(const void* identity, const char* name, size_t bytes);
SharedRange dynamicSharedBytes();

inline void checkAligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) fault("an access of " + std::to_string(bytes) + " bytes is not aligned");
}

}  // namespace tlora::emulated
