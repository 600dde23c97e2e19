// y [tokens, c] = table[ids], table [v, c] float32, float16 or bfloat16, widened row by row. An id outside the table reads
// its nearest row: ids are data of the run, checked where tokens are made, and must never reach memory outside.
// Gradient: dtable [v, c] float32; a task owns a range of rows, clears it and adds dy in the order of the tokens.
#include <cstring>

#include "core/half.h"
#include "cpu/blocks.h"

namespace tlora::cpu {

void embedding(const Call& call, Context& context) {
  const Tensor &ids = call.in[0], &table = call.in[1];
  const int64_t c = table.last(), v = table.dims[0], tokens = ids.size(), step = chunkRows(c);
  float* y = call.out[0].f32();
  context.pool.run(blocksOf(tokens, step), [&](int64_t task, int) {
    const int64_t end = std::min(tokens, (task + 1) * step);
    for (int64_t k = task * step; k < end; k++) {
      const int64_t first = std::clamp<int64_t>(ids.i32()[k], 0, v - 1) * c;
      if (table.dtype == DType::f32) std::memcpy(y + k * c, table.f32() + first, c * sizeof(float));
      else
        for (int64_t i = 0; i < c; i++) y[k * c + i] = floatAt(table.data, table.dtype, first + i);
    }
  });
}

void embeddingVjp(const Call& call, Context& context) {
  const Tensor& ids = call.in[0];
  const int64_t c = call.in[1].last(), v = call.out[0].dims[0], tokens = ids.size(), step = chunkRows(c);
  const float* dy = call.in[1].f32();
  float* dtable = call.out[0].f32();
  context.pool.run(blocksOf(v, step), [&](int64_t task, int) {
    const int64_t begin = task * step, end = std::min(v, begin + step);
    std::memset(dtable + begin * c, 0, (end - begin) * c * sizeof(float));
    for (int64_t k = 0; k < tokens; k++) {
      const int64_t row = std::clamp<int64_t>(ids.i32()[k], 0, v - 1);
      if (row < begin || row >= end) continue;
      for (int64_t i = 0; i < c; i++) dtable[row * c + i] += dy[k * c + i];
    }
  });
}

}  // namespace tlora::cpu
