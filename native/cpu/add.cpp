// y = a + b, elementwise, float32. y may lie over a or b.
#include <algorithm>

#include "core/kernel.h"

namespace tlora::cpu {

constexpr int64_t kAddBlock = 16384;  // elements per task: big enough to hide the hand-out, small enough to balance

void add(const Call& call, Context& context) {
  const float* a = call.in[0].f32();
  const float* b = call.in[1].f32();
  float* y = call.out[0].f32();
  const int64_t n = call.out[0].size();
  context.pool.run((n + kAddBlock - 1) / kAddBlock, [&](int64_t task, int) {
    const int64_t end = std::min(n, (task + 1) * kAddBlock);
    for (int64_t i = task * kAddBlock; i < end; i++) y[i] = a[i] + b[i];
  });
}

}  // namespace tlora::cpu
