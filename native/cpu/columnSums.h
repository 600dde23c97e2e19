// out[j] = sum over rows of x [rows, n]: bias gradients. Sums in float64, in order of rows: the same bits for any number
// of threads.
#pragma once
#include <algorithm>

#include "core/kernel.h"

namespace tlora::cpu {

constexpr int64_t kSumColumns = 64;  // of one task: four cache lines of every row

inline void columnSums(Context& context, const float* x, int64_t rows, int64_t n, float* out) {
  context.pool.run((n + kSumColumns - 1) / kSumColumns, [&](int64_t task, int) {
    const int64_t first = task * kSumColumns, count = std::min(kSumColumns, n - first);
    double sums[kSumColumns] = {};
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < count; j++) sums[j] += x[i * n + first + j];
    for (int64_t j = 0; j < count; j++) out[first + j] = static_cast<float>(sums[j]);
  });
}

}  // namespace tlora::cpu
