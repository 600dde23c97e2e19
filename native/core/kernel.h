// What the engine hands to a CPU kernel, and what a kernel may use. Kernels get valid plans: shapes are checked when a plan is bound (signature.h), and not again.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "tensor.h"

namespace tlora {

// Threads that run numbered tasks. One pool per engine; run() is called from one thread at a time.
class ThreadPool {
 public:
  virtual ~ThreadPool() = default;
  virtual int threads() const = 0;
  // Calls body(task, thread) once for each task in [0, tasks), thread in [0, threads()), tasks handed out in order.
  // Returns when all are done. Once the cancel flag is up, tasks not yet begun are skipped.
  // Results must not depend on which thread runs which task.
  virtual void run(int64_t tasks, const std::function<void(int64_t task, int thread)>& body) = 0;
};

struct Call {
  const Tensor* in;     // in[i].present() is false for an absent optional input
  const Tensor* out;    // out[i].data is nullptr for an output that nobody asked for
  const double* attr;   // in the order of the op's `attrs` in lib/ops
  void* scratch;        // 64-byte aligned, of the size the op's `scratchBytes` asked for
  size_t scratchBytes;
  int inputs, outputs, attrs;
};

struct Context {
  ThreadPool& pool;
  const std::atomic<bool>& cancelled;  // long tasks poll it and may return early
  // 64-byte aligned memory of one thread for packing, kWorkspaceBytes each, kept between calls.
  void* workspace(int thread) const { return workspaces[thread]; }
  void* const* workspaces;
};

constexpr size_t kWorkspaceBytes = size_t{4} << 20;

using Kernel = void (*)(const Call&, Context&);

}  // namespace tlora
