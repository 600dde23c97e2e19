// z [n, positions, c] = x + y, with y [n, c] the same at every position of its sample. float32; z may lie over x.
#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct AddRowToRows {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* y, float* z, int64_t rows, int64_t c) {
    for (int64_t r = 0; r < rows; r++, x += c, z += c)
      eachVec<W>(c, [&](int64_t i, auto part)
                     TLORA_INLINE_LAMBDA { store(z + i, load<W>(x + i, part) + load<W>(y + i, part), part); });
  }
};

}  // namespace

void addPerSample(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t c = x.last(), positions = x.rows() / x.dims[0], step = chunkRows(c), chunks = blocksOf(positions, step);
  context.pool.run(x.dims[0] * chunks, [&](int64_t task, int) {
    const int64_t sample = task / chunks, row = task % chunks * step;
    const int64_t at = (sample * positions + row) * c;
    simd<AddRowToRows>(x.f32() + at, call.in[1].f32() + sample * c, call.out[0].f32() + at,
                       std::min(step, positions - row), c);
  });
}

}  // namespace tlora::cpu
