// y = factor x, float32. y may lie over x.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct ScaleBlock {
  template <int W> TLORA_INLINE static void run(const float* x, float* y, float factor, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { store(y + i, load<W>(x + i, part) * factor, part); });
  }
};

}  // namespace

void scale(const Call& call, Context& context) {
  const float* x = call.in[0].f32();
  float* y = call.out[0].f32();
  const float factor = static_cast<float>(call.attr[0]);
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) { simd<ScaleBlock>(x + i, y + i, factor, n); });
}

}  // namespace tlora::cpu
