// y = e^x; dx = dy y. Elementwise, float32; outputs may lie over inputs.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct ExpBlock {
  template <int W> TLORA_INLINE static void run(const float* x, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(y + i, tlora::exp(load<W>(x + i, part)), part); });
  }
};

struct ExpVjpBlock {
  template <int W> TLORA_INLINE static void run(const float* y, const float* dy, float* dx, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(dx + i, load<W>(y + i, part) * load<W>(dy + i, part), part); });
  }
};

}  // namespace

void exp(const Call& call, Context& context) {
  const float* x = call.in[0].f32();
  float* y = call.out[0].f32();
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) { simd<ExpBlock>(x + i, y + i, n); });
}

void expVjp(const Call& call, Context& context) {
  const float *y = call.in[0].f32(), *dy = call.in[1].f32();
  float* dx = call.out[0].f32();
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) { simd<ExpVjpBlock>(y + i, dy + i, dx + i, n); });
}

}  // namespace tlora::cpu
