// loss [1] = mean |p - t|; differences in float32, sums in float64: blocks in order. Gradient: dp = dloss sign(p - t) / N, 0
// where both are equal; dp may lie over p or t.
#include <cmath>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct SignBlock {
  template <int W> TLORA_INLINE static void run(const float* p, const float* t, float factor, float* dp, int64_t n) {
    const Vec<W> up = fill<W>(factor), down = fill<W>(-factor), zero{};
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      const Vec<W> d = load<W>(p + i, part) - load<W>(t + i, part);
      const Vec<W> below = d < 0 ? down : zero;
      store(dp + i, d > 0 ? up : below, part);
    });
  }
};

}  // namespace

void mae(const Call& call, Context& context) {
  const int64_t n = call.in[0].size(), blocks = blocksOf(n);
  const float *p = call.in[0].f32(), *t = call.in[1].f32();
  double* partial = static_cast<double*>(call.scratch);
  eachBlock(context, n, [&](int64_t begin, int64_t count) {
    double sums[8] = {};
    for (int64_t i = 0; i < count; i++) sums[i % 8] += std::fabs(p[begin + i] - t[begin + i]);
    double sum = 0;
    for (double s : sums) sum += s;
    partial[begin / kBlock] = sum;
  });
  double total = 0;
  for (int64_t k = 0; k < blocks; k++) total += partial[k];
  call.out[0].f32()[0] = static_cast<float>(total / static_cast<double>(n));
}

void maeVjp(const Call& call, Context& context) {
  const int64_t n = call.in[0].size();
  const float *p = call.in[0].f32(), *t = call.in[1].f32();
  const float factor = static_cast<float>(call.in[2].f32()[0] / static_cast<double>(n));
  float* dp = call.out[0].f32();
  eachBlock(context, n, [&](int64_t i, int64_t count) { simd<SignBlock>(p + i, t + i, factor, dp + i, count); });
}

}  // namespace tlora::cpu
