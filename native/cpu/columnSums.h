// out[j] = sum over rows of x [rows, n]: bias gradients. Stretches of rows in float32, these in float64, in order: the same bits
// for any number of threads.
#pragma once
#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

constexpr int64_t kSumColumns = 64, kLeastSumColumns = 16;  // of one task: four cache lines of every row, or one
constexpr int64_t kSumRows = 64;                            // of a stretch

struct SumStretch {
  template <int W>
  TLORA_INLINE static void run(const float* x, int64_t stride, int64_t rows, int64_t columns, float* sums) {
    sumRows<W>(rows, columns, sums, [&](int64_t r, int64_t i, auto part)
                                        TLORA_INLINE_LAMBDA { return load<W>(x + r * stride + i, part); });
  }
};

inline void columnSums(Context& context, const float* x, int64_t rows, int64_t n, float* out) {
  int64_t width = kSumColumns;
  while (width > kLeastSumColumns && blocksOf(n, width) < context.pool.threads()) width /= 2;
  context.pool.run(blocksOf(n, width), [&](int64_t task, int) {
    const int64_t first = task * width, count = std::min(width, n - first);
    double sums[kSumColumns] = {};
    float stretch[kSumColumns];
    for (int64_t r = 0; r < rows; r += kSumRows) {
      simd<SumStretch>(x + r * n + first, n, std::min(kSumRows, rows - r), count, stretch);
      for (int64_t j = 0; j < count; j++) sums[j] += stretch[j];
    }
    for (int64_t j = 0; j < count; j++) out[first + j] = static_cast<float>(sums[j]);
  });
}

}  // namespace tlora::cpu
