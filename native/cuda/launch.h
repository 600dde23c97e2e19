// Starting kernels. The same sources are compiled by nvcc and, for tests without a device, as plain C++ with
// test/support/cuda first on the include path (TLORA_EMULATED_CUDA is defined there).
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "cuda/check.h"
#include "cuda/dependents.h"

namespace tlora::cuda {

// Sizes of a grid in blocks, or of a block in threads.
struct Grid {
  int64_t x, y, z;
  constexpr Grid(int64_t x, int64_t y = 1, int64_t z = 1) : x(x), y(y), z(z) {}
  dim3 dim() const { return dim3(unsigned(x), unsigned(y), unsigned(z)); }
  int64_t size() const { return x * y * z; }
};

constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

constexpr size_t kStaticSharedBytes = 48 * 1024;  // more must be asked for, kernel by kernel

// Queues `kernel(args...)` on the context's stream, with `sharedBytes` of dynamic shared memory; nothing if the grid is empty.
template <class Context, class... P, class... A>
void launchShared(Context& context, void (*kernel)(P...), Grid grid, Grid threads, size_t sharedBytes, A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "one argument per parameter of the kernel");
  if (grid.size() == 0) return;
  if (grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535 || threads.size() > 1024) {
    throw std::runtime_error("a kernel's grid is too large");
  }
  std::tuple<std::remove_cv_t<P>...> values(static_cast<P>(std::forward<A>(args))...);
#ifdef TLORA_EMULATED_CUDA
  const auto thread = [kernel, values] { std::apply(kernel, values); };
  check(tlora::emulated::launch(context.stream, grid.dim(), threads.dim(), sharedBytes, thread), "a kernel failed");
#else
  const auto entry = reinterpret_cast<const void*>(kernel);
  if (sharedBytes > kStaticSharedBytes) {
    check(cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, int(sharedBytes)), "shared memory of a kernel");
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid.dim();
  config.blockDim = threads.dim();
  config.dynamicSmemBytes = sharedBytes;
  config.stream = context.stream;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = context.dependentLaunches ? 1 : 0;
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))..., nullptr};
        check(cudaLaunchKernelExC(&config, entry, pointers), "launch of a kernel");
      },
      values);
#endif
}

template <class Context, class... P, class... A>
void launch(Context& context, void (*kernel)(P...), Grid grid, Grid threads, A&&... args) {
  launchShared(context, kernel, grid, threads, 0, std::forward<A>(args)...);
}

// Blocks of `threads` for `items`, one per thread or, for kernels that stride by the grid, fewer: a few waves of the device.
template <class Context>
Grid gridFor(const Context& context, int64_t items, int64_t threads) {
  return std::min<int64_t>(ceilDiv(items, threads), int64_t{context.multiprocessors} * 16);
}

}  // namespace tlora::cuda
