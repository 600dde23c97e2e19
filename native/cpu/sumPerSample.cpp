// y [n, c] = sum of x [n, positions, c] over positions: chunks of rows in float32, across chunks in float64.
#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

namespace {

struct SumChunk {
  template <int W> TLORA_INLINE static void run(const float* x, float* sums, int64_t rows, int64_t c) {
    sumRows<W>(rows, c, sums, [&](int64_t r, int64_t i, auto part)
                                  TLORA_INLINE_LAMBDA { return load<W>(x + r * c + i, part); });
  }
};

}  // namespace

void sumPerSample(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t c = x.last(), positions = x.rows() / x.dims[0], step = chunkRows(c), chunks = blocksOf(positions, step);
  float* partial = static_cast<float*>(call.scratch);
  context.pool.run(x.dims[0] * chunks, [&](int64_t task, int) {
    const int64_t row = task % chunks * step;
    simd<SumChunk>(static_cast<const float*>(x.f32() + (task / chunks * positions + row) * c), partial + task * c,
                   std::min(step, positions - row), c);
  });
  sumPartials(context, partial, x.dims[0], chunks, c, c, call.out[0].f32());
}

}  // namespace tlora::cpu
