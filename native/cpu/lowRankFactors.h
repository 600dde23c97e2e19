// The stacked factors of a masked low-rank change of a weight, in difference form (lowRank.cpp):
//   dW = (P - P0) M L Q + P0 M (L Q - L0 Q0) = sB sA, formed component by component.
#pragma once
#include <algorithm>

#include "blocks.h"
#include "simd.h"

namespace tlora::cpu {

struct Factors {
  const float *up, *down, *lambda, *up0, *down0, *lambda0;
  int64_t out, in, r;
  int64_t stack() const { return up0 ? 2 : 1; }
};

inline Factors factorsOf(const Tensor* in) {
  return {in[0].f32(), in[1].f32(), in[2].f32(),   in[3].f32(),   in[4].f32(),
          in[5].f32(), in[0].dims[0], in[1].dims[1], in[0].dims[1]};
}

// Hands out float32 blocks of the scratch memory, each rounded up to a cache line, as scratchBytes in lib/ops counts them.
class Blocks {
 public:
  explicit Blocks(void* at) : at_(static_cast<float*>(at)) {}
  float* take(int64_t count) {
    float* block = at_;
    at_ += (count + 15) / 16 * 16;
    return block;
  }

 private:
  float* at_;
};

struct ScaleRow {  // y = s x
  template <int W>
  TLORA_INLINE static void run(const float* x, float s, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { store(y + i, load<W>(x + i, part) * s, part); });
  }
};

// y = x - y. Apart from ScaleRow on purpose: fused with its product, equals would not cancel to exactly 0.
struct SubtractRow {
  template <int W>
  TLORA_INLINE static void run(const float* x, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(y + i, load<W>(x + i, part) - load<W>(y + i, part), part);
    });
  }
};

// body(i) for i in [0, count), each over `width` values, in tasks of some 64 KiB.
template <class Body>
void eachOf(Context& context, int64_t count, int64_t width, Body body) {
  const int64_t step = std::max<int64_t>(1, kBlock / std::max<int64_t>(1, width));
  context.pool.run(blocksOf(count, step), [&](int64_t task, int) {
    const int64_t end = std::min(count, (task + 1) * step);
    for (int64_t i = task * step; i < end; i++) body(i);
  });
}

// sA [stack * active, in]; without a start: L Q.
inline void formDown(Context& context, const Factors& f, int64_t active, float* sA) {
  eachOf(context, active, f.stack() * f.in, [&](int64_t j) {
    const int64_t at = j * f.in;
    float* row = sA + f.stack() * at;
    simd<ScaleRow>(f.down + at, f.lambda[j], row, f.in);
    if (!f.up0) return;
    simd<ScaleRow>(f.down0 + at, f.lambda0[j], row + f.in, f.in);
    simd<SubtractRow>(static_cast<const float*>(row), row + f.in, f.in);
  });
}

// sB [out, 2 * active]
inline void formUp(Context& context, const Factors& f, int64_t active, float* sB) {
  eachOf(context, f.out, 2 * active, [&](int64_t o) {
    for (int64_t j = 0; j < active; j++) {
      const float start = f.up0[o * f.r + j];
      sB[(o * active + j) * 2] = f.up[o * f.r + j] - start;
      sB[(o * active + j) * 2 + 1] = start;
    }
  });
}

}  // namespace tlora::cpu
