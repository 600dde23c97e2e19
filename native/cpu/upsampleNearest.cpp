// y[n, i, j] = x[n, floor(i h / height), floor(j w / width)], pixels of c channels; any sizes. One task a row of the result.
// Gradient: each dx pixel is the sum of the dy pixels that read it (a rectangle, perhaps empty), row by row.
#include <cstring>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

// The places i with floor(i * small / large) == at are [firstReader(at), firstReader(at + 1)).
int64_t firstReader(int64_t at, int64_t small, int64_t large) { return (at * large + small - 1) / small; }

struct AddPixel {
  template <int W> TLORA_INLINE static void run(const float* dy, int64_t pixels, float* dx, int64_t c) {
    eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> sum = load<W>(dx + i, part);
      for (int64_t p = 0; p < pixels; p++) sum += load<W>(dy + p * c + i, part);
      store(dx + i, sum, part);
    });
  }
};

}  // namespace

void upsampleNearest(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  const int64_t h = x.dims[1], w = x.dims[2], c = x.last(), height = y.dims[1], width = y.dims[2];
  context.pool.run(y.dims[0] * height, [&](int64_t task, int) {
    const float* from = x.f32() + (task / height * h + task % height * h / height) * w * c;
    float* to = y.f32() + task * width * c;
    for (int64_t j = 0; j < width; j++) std::memcpy(to + j * c, from + j * w / width * c, c * sizeof(float));
  });
}

void upsampleNearestVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[0], &dx = call.out[0];
  const int64_t h = dx.dims[1], w = dx.dims[2], c = dx.last(), height = dy.dims[1], width = dy.dims[2];
  context.pool.run(dx.dims[0] * h, [&](int64_t task, int) {
    const int64_t top = firstReader(task % h, h, height), bottom = firstReader(task % h + 1, h, height);
    float* row = dx.f32() + task * w * c;
    std::memset(row, 0, w * c * sizeof(float));
    for (int64_t i = top; i < bottom; i++) {
      const float* from = dy.f32() + (task / h * height + i) * width * c;
      for (int64_t j = 0; j < w; j++) {
        const int64_t left = firstReader(j, w, width), right = firstReader(j + 1, w, width);
        if (right > left) simd<AddPixel>(from + left * c, right - left, row + j * c, c);
      }
    }
  });
}

}  // namespace tlora::cpu
