// y [n, c] = mean of x [n, rows, c] over rows, in order, in float64; 64 channels of a sample are a task.
// Gradient: dx [n, rows, c] = dy / rows in every row.
#include "cpu/blocks.h"

namespace tlora::cpu {

void meanRows(const Call& call, Context& context) {
  constexpr int64_t kWidth = 64;
  const Tensor& x = call.in[0];
  const int64_t n = x.dims[0], c = x.last(), rows = x.rows() / n, pieces = blocksOf(c, kWidth);
  float* y = call.out[0].f32();
  context.pool.run(n * pieces, [&](int64_t task, int) {
    const int64_t sample = task / pieces, begin = task % pieces * kWidth, width = std::min(kWidth, c - begin);
    const float* from = x.f32() + sample * rows * c + begin;
    double total[kWidth] = {};
    for (int64_t r = 0; r < rows; r++, from += c)
      for (int64_t i = 0; i < width; i++) total[i] += from[i];
    for (int64_t i = 0; i < width; i++) y[sample * c + begin + i] = static_cast<float>(total[i] / static_cast<double>(rows));
  });
}

void meanRowsVjp(const Call& call, Context& context) {
  const Tensor& dx = call.out[0];
  const int64_t n = dx.dims[0], c = dx.last(), rows = dx.rows() / n, step = chunkRows(c), chunks = blocksOf(rows, step);
  const float *dy = call.in[0].f32(), each = 1.0f / static_cast<float>(rows);
  context.pool.run(n * chunks, [&](int64_t task, int) {
    const int64_t sample = task / chunks, end = std::min(rows, (task % chunks + 1) * step);
    for (int64_t r = task % chunks * step; r < end; r++)
      for (int64_t i = 0; i < c; i++) dx.f32()[(sample * rows + r) * c + i] = each * dy[sample * c + i];
  });
}

}  // namespace tlora::cpu
