// y [n, t, c] = x + p, with p [t, c] the same for every sample. float32; y may lie over x.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct AddBlock {
  template <int W> TLORA_INLINE static void run(const float* x, const float* p, float* y, int64_t n) {
    eachVec<W>(n, [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { store(y + i, load<W>(x + i, part) + load<W>(p + i, part), part); });
  }
};

}  // namespace

void addRows(const Call& call, Context& context) {
  const int64_t each = call.in[1].size();
  const float *x = call.in[0].f32(), *p = call.in[1].f32();
  float* y = call.out[0].f32();
  eachSampleBlock(context, call.in[0].dims[0], each, [&](int64_t sample, int64_t i, int64_t n) {
    simd<AddBlock>(x + sample * each + i, p + i, y + sample * each + i, n);
  });
}

}  // namespace tlora::cpu
