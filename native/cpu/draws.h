// Filling a tensor from counter-based streams: shared by the draws of normals and uniforms.
#pragma once
#include <algorithm>

#include "core/kernel.h"
#include "core/philox.h"

namespace tlora::cpu {

constexpr int64_t kDrawBlocks = 2048;  // counter blocks (of four values) per task

// of(key, block) gives four values. Key [4], or [n, 4] with one stream for each first index of the output.
template <class Of>
void fillFromStreams(const Tensor& keys, const Tensor& out, ThreadPool& pool, Of of) {
  const int64_t streams = keys.rank == 1 ? 1 : keys.dims[0];
  const int64_t each = out.size() / streams;
  const int64_t blocks = (each + 3) / 4, tasks = (blocks + kDrawBlocks - 1) / kDrawBlocks;
  pool.run(streams * tasks, [&](int64_t task, int) {
    const int64_t stream = task / tasks, from = task % tasks * kDrawBlocks;
    const PhiloxKey key(keys.i32() + 4 * stream);
    float* y = out.f32() + stream * each;
    for (int64_t b = from; b < std::min(blocks, from + kDrawBlocks); b++) {
      const auto values = of(key, uint64_t(b));
      for (int64_t i = 4 * b; i < std::min(each, 4 * b + 4); i++) y[i] = values[i - 4 * b];
    }
  });
}

}  // namespace tlora::cpu
