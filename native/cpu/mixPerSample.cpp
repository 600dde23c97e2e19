// out[i] = a[i] x[i] + b[i] y[i] for every sample i; dx[i] = a[i] grad[i], dy[i] = b[i] grad[i]. float32; out may lie over
// x or y.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct MixBlock {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* y, float a, float b, float* out, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(out + i, a * load<W>(x + i, part) + b * load<W>(y + i, part), part);
    });
  }
};

struct MixVjpBlock {
  template <int W> TLORA_INLINE static void run(const float* grad, float factor, float* out, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(out + i, factor * load<W>(grad + i, part), part); });
  }
};

}  // namespace

void mixPerSample(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t each = x.size() / x.dims[0];
  const float *a = call.in[2].f32(), *b = call.in[3].f32();
  eachSampleBlock(context, x.dims[0], each, [&](int64_t sample, int64_t i, int64_t n) {
    const int64_t at = sample * each + i;
    simd<MixBlock>(x.f32() + at, call.in[1].f32() + at, a[sample], b[sample], call.out[0].f32() + at, n);
  });
}

void mixPerSampleVjp(const Call& call, Context& context) {
  const Tensor& grad = call.in[2];
  const int64_t each = grad.size() / grad.dims[0];
  const float *a = call.in[0].f32(), *b = call.in[1].f32();
  float *dx = call.out[0].f32(), *dy = call.out[1].f32();
  eachSampleBlock(context, grad.dims[0], each, [&](int64_t sample, int64_t i, int64_t n) {
    const int64_t at = sample * each + i;
    if (dx) simd<MixVjpBlock>(grad.f32() + at, a[sample], dx + at, n);
    if (dy) simd<MixVjpBlock>(grad.f32() + at, b[sample], dy + at, n);
  });
}

}  // namespace tlora::cpu
