// out = x + y z; dy = grad z, dz = grad y. Elementwise, float32; out may lie over x, y or z.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct MultiplyAddBlock {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* y, const float* z, float* out, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(out + i, load<W>(x + i, part) + load<W>(y + i, part) * load<W>(z + i, part), part);
    });
  }
};

struct MultiplyBlock {
  template <int W> TLORA_INLINE static void run(const float* a, const float* b, float* out, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(out + i, load<W>(a + i, part) * load<W>(b + i, part), part); });
  }
};

}  // namespace

void multiplyAdd(const Call& call, Context& context) {
  const float *x = call.in[0].f32(), *y = call.in[1].f32(), *z = call.in[2].f32();
  float* out = call.out[0].f32();
  eachBlock(context, call.in[0].size(),
            [&](int64_t i, int64_t n) { simd<MultiplyAddBlock>(x + i, y + i, z + i, out + i, n); });
}

void multiplyAddVjp(const Call& call, Context& context) {
  const float *y = call.in[0].f32(), *z = call.in[1].f32(), *grad = call.in[2].f32();
  float *dy = call.out[0].f32(), *dz = call.out[1].f32();
  eachBlock(context, call.in[2].size(), [&](int64_t i, int64_t n) {
    if (dy) simd<MultiplyBlock>(grad + i, z + i, dy + i, n);
    if (dz) simd<MultiplyBlock>(grad + i, y + i, dz + i, n);
  });
}

}  // namespace tlora::cpu
