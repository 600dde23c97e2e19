// norm [1] = sqrt(sum g^2), g [N] float32; squares and sums in float64, over chunks of 65536 elements in order.
#include <cmath>

#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

namespace {

constexpr int64_t kNormChunk = 65536;  // lib/ops/gradNorm.ts sizes the scratch memory by it

struct Squares {
  template <int W> TLORA_INLINE static void run(const float* g, int64_t n, double* sum) {
    *sum = sumSquares<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { return load<W>(g + i, part); });
  }
};

}  // namespace

void gradNorm(const Call& call, Context& context) {
  const int64_t n = call.in[0].size(), chunks = blocksOf(n, kNormChunk);
  const float* g = call.in[0].f32();
  double* partial = static_cast<double*>(call.scratch);
  context.pool.run(chunks, [&](int64_t task, int) {
    const int64_t begin = task * kNormChunk;
    simd<Squares>(g + begin, std::min(kNormChunk, n - begin), partial + task);
  });
  double total = 0;
  for (int64_t k = 0; k < chunks; k++) total += partial[k];
  call.out[0].f32()[0] = static_cast<float>(std::sqrt(total));
}

}  // namespace tlora::cpu
