// y = gelu(x); dx = dy gelu'(x). Elementwise, float32; attr kind: 0 erf, 1 quick, 2 tanh. Outputs may lie over inputs.
#include "cpu/blocks.h"
#include "cpu/geluCurves.h"

namespace tlora::cpu {

namespace {

template <class Curve>
struct GeluBlock {
  template <int W> TLORA_INLINE static void run(const float* x, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(y + i, Curve::value(load<W>(x + i, part)), part); });
  }
};

template <class Curve>
struct GeluVjpBlock {
  template <int W> TLORA_INLINE static void run(const float* x, const float* dy, float* dx, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(dx + i, load<W>(dy + i, part) * Curve::slope(load<W>(x + i, part)), part);
    });
  }
};

template <template <class> class Block, class... Args>
void runKind(double kind, Args... args) {
  if (kind == 0) simd<Block<GeluErf>>(args...);
  else if (kind == 1) simd<Block<GeluQuick>>(args...);
  else simd<Block<GeluTanh>>(args...);
}

}  // namespace

void gelu(const Call& call, Context& context) {
  const float* x = call.in[0].f32();
  float* y = call.out[0].f32();
  eachBlock(context, call.in[0].size(),
            [&](int64_t i, int64_t n) { runKind<GeluBlock>(call.attr[0], x + i, y + i, n); });
}

void geluVjp(const Call& call, Context& context) {
  const float *x = call.in[0].f32(), *dy = call.in[1].f32();
  float* dx = call.out[0].f32();
  eachBlock(context, call.in[0].size(),
            [&](int64_t i, int64_t n) { runKind<GeluVjpBlock>(call.attr[0], x + i, dy + i, dx + i, n); });
}

}  // namespace tlora::cpu
