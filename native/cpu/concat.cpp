// y [rows, p + q] = [a | b]: rows of a [rows, p] and b [rows, q] beside each other.
#include <cstring>

#include "cpu/blocks.h"

namespace tlora::cpu {

void concat(const Call& call, Context& context) {
  const int64_t p = call.in[0].last(), q = call.in[1].last(), rows = call.in[0].rows(), step = chunkRows(p + q);
  const float *a = call.in[0].f32(), *b = call.in[1].f32();
  float* y = call.out[0].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    const int64_t end = std::min(rows, (task + 1) * step);
    for (int64_t r = task * step; r < end; r++) {
      std::memcpy(y + r * (p + q), a + r * p, p * sizeof(float));
      std::memcpy(y + r * (p + q) + p, b + r * q, q * sizeof(float));
    }
  });
}

}  // namespace tlora::cpu
