// y = x sigmoid(x); dx = dy s (1 + x (1 - s)) with s = sigmoid(x). Elementwise, float32; outputs may lie over inputs.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct SiluBlock {
  template <int W> TLORA_INLINE static void run(const float* x, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> v = load<W>(x + i, part);
      store(y + i, v * sigmoid(v), part);
    });
  }
};

struct SiluVjpBlock {
  template <int W> TLORA_INLINE static void run(const float* x, const float* dy, float* dx, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> v = load<W>(x + i, part);
      Vec<W> s = sigmoid(v);
      store(dx + i, load<W>(dy + i, part) * (s * (1.0f + v * (1.0f - s))), part);
    });
  }
};

}  // namespace

void silu(const Call& call, Context& context) {
  const float* x = call.in[0].f32();
  float* y = call.out[0].f32();
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) { simd<SiluBlock>(x + i, y + i, n); });
}

void siluVjp(const Call& call, Context& context) {
  const float *x = call.in[0].f32(), *dy = call.in[1].f32();
  float* dx = call.out[0].f32();
  eachBlock(context, call.in[0].size(), [&](int64_t i, int64_t n) { simd<SiluVjpBlock>(x + i, dy + i, dx + i, n); });
}

}  // namespace tlora::cpu
