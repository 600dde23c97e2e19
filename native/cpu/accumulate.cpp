// sum = c0 sum + c1 grads in place, float32; when c0 is 0 the old sum is not read (it may hold anything).
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

template <bool Keep>
struct AccumulateBlock {
  template <int W> TLORA_INLINE static void run(float* sum, const float* grads, float keep, float take, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> v = take * load<W>(grads + i, part);
      if constexpr (Keep) v = keep * load<W>(sum + i, part) + v;
      store(sum + i, v, part);
    });
  }
};

}  // namespace

void accumulate(const Call& call, Context& context) {
  float* sum = call.in[0].f32();
  const float *grads = call.in[1].f32(), *c = call.in[2].f32();
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) {
    if (c[0] == 0) simd<AccumulateBlock<false>>(sum + i, grads + i, 0.0f, c[1], n);
    else simd<AccumulateBlock<true>>(sum + i, grads + i, c[0], c[1], n);
  });
}

}  // namespace tlora::cpu
