// Rows [a | g] of 2c: y = a gelu(g); da = dy gelu(g), dg = dy a gelu'(g). Gelu with erf, float32. dx may lie over x.
#include "cpu/blocks.h"
#include "cpu/geluCurves.h"

namespace tlora::cpu {

namespace {

struct GegluRows {
  template <int W> TLORA_INLINE static void run(const float* x, float* y, int64_t rows, int64_t c) {
    for (int64_t r = 0; r < rows; r++, x += 2 * c, y += c)
      eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        store(y + i, load<W>(x + i, part) * GeluErf::value(load<W>(x + c + i, part)), part);
      });
  }
};

struct GegluVjpRows {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* dy, float* dx, int64_t rows, int64_t c) {
    for (int64_t r = 0; r < rows; r++, x += 2 * c, dx += 2 * c, dy += c)
      eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        Vec<W> a = load<W>(x + i, part), g = load<W>(x + c + i, part), d = load<W>(dy + i, part);
        Vec<W> phi = 0.5f + 0.5f * erf(g * 0.70710678118654752f);
        store(dx + i, d * (g * phi), part);
        store(dx + c + i, d * a * (phi + g * exp(-0.5f * (g * g)) * 0.39894228040143268f), part);
      });
  }
};

}  // namespace

void geglu(const Call& call, Context& context) {
  const int64_t c = call.out[0].last(), rows = call.out[0].rows(), step = chunkRows(2 * c);
  const float* x = call.in[0].f32();
  float* y = call.out[0].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    const int64_t r = task * step;
    simd<GegluRows>(x + r * 2 * c, y + r * c, std::min(step, rows - r), c);
  });
}

void gegluVjp(const Call& call, Context& context) {
  const int64_t c = call.in[1].last(), rows = call.in[1].rows(), step = chunkRows(2 * c);
  const float *x = call.in[0].f32(), *dy = call.in[1].f32();
  float* dx = call.out[0].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    const int64_t r = task * step;
    simd<GegluVjpRows>(x + r * 2 * c, dy + r * c, dx + r * 2 * c, std::min(step, rows - r), c);
  });
}

}  // namespace tlora::cpu
