// What the processor can do at most: multiply-adds between registers, on as many sums as the micro-kernel holds.
#include <ctime>

#include "contender.h"
#include "cpu/simd.h"

namespace tlora::bench {
namespace {

constexpr int64_t kSteps = 100000;

struct MultiplyAdds {
  template <int W>
  TLORA_INLINE static void run(float* out, double* flops) {
    constexpr int kSums = W == 16 ? 28 : 12;
    Vec<W> sums[kSums] = {}, a = fill<W>(0.5f), b = fill<W>(0.25f);
    for (int64_t i = 0; i < kSteps; i++) {
      TLORA_UNROLL
      for (int j = 0; j < kSums; j++) sums[j] = fma(a, b, sums[j]);
    }
    Vec<W> all{};
    TLORA_UNROLL
    for (int j = 0; j < kSums; j++) all += sums[j];
    store(out, all);
    *flops = 2.0 * W * kSums * kSteps;
  }
};

double threadSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

double peakFlops() {
  float out[16];
  double flops, best = 0;
  for (int round = 0; round < 5; round++) {
    const double start = threadSeconds();
    simd<MultiplyAdds>(out, &flops);
    best = std::max(best, flops / (threadSeconds() - start));
  }
  return best;
}

}  // namespace tlora::bench
