// loss [1] = mean of (p - t)^2 over everything, perSample [n] the mean of each sample; differences in float32, squares and
// sums in float64, blocks of one sample in order. Gradient: dp = dloss 2 (p - t) / N; dp may lie over p or t.
#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

namespace {

struct SquaredDistance {
  template <int W> TLORA_INLINE static void run(const float* p, const float* t, int64_t n, double* sum) {
    *sum = sumSquares<W>(n, [&](int64_t i, auto part)
                                TLORA_INLINE_LAMBDA { return load<W>(p + i, part) - load<W>(t + i, part); });
  }
};

struct ScaledDifference {
  template <int W> TLORA_INLINE static void run(const float* p, const float* t, float factor, float* dp, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(dp + i, (load<W>(p + i, part) - load<W>(t + i, part)) * factor, part);
    });
  }
};

}  // namespace

void mse(const Call& call, Context& context) {
  const int64_t n = call.in[0].dims[0], each = call.in[0].size() / n, blocks = blocksOf(each);
  const float *p = call.in[0].f32(), *t = call.in[1].f32();
  double* partial = static_cast<double*>(call.scratch);
  eachSampleBlock(context, n, each, [&](int64_t sample, int64_t i, int64_t count) {
    const int64_t at = sample * each + i;
    simd<SquaredDistance>(p + at, t + at, count, partial + sample * blocks + i / kBlock);
  });
  double total = 0;
  for (int64_t sample = 0; sample < n; sample++) {
    double sum = 0;
    for (int64_t k = 0; k < blocks; k++) sum += partial[sample * blocks + k];
    if (call.out[1].present()) call.out[1].f32()[sample] = static_cast<float>(sum / static_cast<double>(each));
    total += sum;
  }
  if (call.out[0].present()) call.out[0].f32()[0] = static_cast<float>(total / static_cast<double>(n * each));
}

void mseVjp(const Call& call, Context& context) {
  const int64_t n = call.in[0].size();
  const float *p = call.in[0].f32(), *t = call.in[1].f32();
  const float factor = static_cast<float>(2.0 * call.in[2].f32()[0] / static_cast<double>(n));
  float* dp = call.out[0].f32();
  eachBlock(context, n, [&](int64_t i, int64_t count) { simd<ScaledDifference>(p + i, t + i, factor, dp + i, count); });
}

}  // namespace tlora::cpu
