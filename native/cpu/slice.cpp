// y = x[..., start:end] of rows; dx [rows, width] is dy in columns from start and 0 elsewhere.
#include <cstring>

#include "cpu/blocks.h"

namespace tlora::cpu {

void slice(const Call& call, Context& context) {
  const int64_t width = call.in[0].last(), c = call.out[0].last(), rows = call.in[0].rows(), step = chunkRows(c);
  const float* x = call.in[0].f32() + static_cast<int64_t>(call.attr[0]);
  float* y = call.out[0].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    const int64_t end = std::min(rows, (task + 1) * step);
    for (int64_t r = task * step; r < end; r++) std::memcpy(y + r * c, x + r * width, c * sizeof(float));
  });
}

void sliceVjp(const Call& call, Context& context) {
  const int64_t start = static_cast<int64_t>(call.attr[0]), c = call.in[0].last(), width = call.out[0].last();
  const int64_t rows = call.in[0].rows(), step = chunkRows(width);
  const float* dy = call.in[0].f32();
  float* dx = call.out[0].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    const int64_t end = std::min(rows, (task + 1) * step);
    for (int64_t r = task * step; r < end; r++) {
      float* row = dx + r * width;
      std::memset(row, 0, start * sizeof(float));
      std::memcpy(row + start, dy + r * c, c * sizeof(float));
      std::memset(row + start + c, 0, (width - start - c) * sizeof(float));
    }
  });
}

}  // namespace tlora::cpu
