#pragma once
#include <memory>

#include "kernel.h"

namespace tlora {

// A pool of `threads` threads, the caller of run() being one of them. Tasks are handed out by a counter.
// An exception in a task ends the run early and is thrown again from run().
// `cancelled` must outlive the pool.
std::unique_ptr<ThreadPool> makeThreadPool(int threads, const std::atomic<bool>& cancelled);

}  // namespace tlora
