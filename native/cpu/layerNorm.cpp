// y = xhat w + b, xhat = (x - mean) rstd over the last axis; w and b may be absent. x [rows, c], float32; y may lie over x.
// Gradient, with g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)), added to `through` where that is given; dw = sum dy xhat,
// db = sum dy over rows: blocks of rows (chunkRows) in float32, across blocks in float64. dx may lie over x, dy or through.
#include <cmath>

#include "cpu/blocks.h"
#include "cpu/sums.h"

namespace tlora::cpu {

namespace {

struct LayerNormRows {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* w, const float* b, float* y, float* mean, float* rstd,
                               int64_t rows, int64_t c, double eps) {
    for (int64_t r = 0; r < rows; r++, x += c, y += c) {
      const float m = sumRow<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { return load<W>(x + i, part); }) / c;
      const float squares = sumRow<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        Vec<W> d = load<W>(x + i, part) - m;
        return d * d;
      });
      const float s = static_cast<float>(1.0 / std::sqrt(static_cast<double>(squares) / c + eps));
      eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
        store(y + i, (load<W>(x + i, part) - m) * s * load<W>(w + i, part) + load<W>(b + i, part), part);
      });
      if (mean) mean[r] = m;
      if (rstd) rstd[r] = s;
    }
  }
};

struct LayerNormVjpRows {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* w, const float* mean, const float* rstd, const float* dy,
                               const float* through, float* dx, int64_t rows, int64_t c) {
    for (int64_t r = 0; r < rows; r++, x += c, dy += c, dx += c) {
      const float m = mean[r], s = rstd[r];
      auto g = [&](int64_t i, auto part)
                   TLORA_INLINE_LAMBDA { return load<W>(dy + i, part) * load<W>(w + i, part); };
      auto xhat = [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { return (load<W>(x + i, part) - m) * s; };
      const float sum = sumRow<W>(c, g) / c;
      const float product = sumRow<W>(c, [&](int64_t i, auto part)
                                             TLORA_INLINE_LAMBDA { return g(i, part) * xhat(i, part); }) / c;
      auto own = [&](int64_t i, auto part)
                     TLORA_INLINE_LAMBDA { return s * (g(i, part) - sum - xhat(i, part) * product); };
      if (through) {
        eachVec<W>(c, [&](int64_t i, auto part)
                          TLORA_INLINE_LAMBDA { store(dx + i, load<W>(through + i, part) + own(i, part), part); });
        through += c;
      } else {
        eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA { store(dx + i, own(i, part), part); });
      }
    }
  }
};

struct LayerNormSums {
  template <int W>
  TLORA_INLINE static void run(const float* x, const float* mean, const float* rstd, const float* dy, float* dw,
                               float* db, int64_t rows, int64_t c) {
    sumRows<W>(rows, c, db, [&](int64_t r, int64_t i, auto part)
                                TLORA_INLINE_LAMBDA { return load<W>(dy + r * c + i, part); });
    sumRows<W>(rows, c, dw, [&](int64_t r, int64_t i, auto part) TLORA_INLINE_LAMBDA {
      return load<W>(dy + r * c + i, part) * ((load<W>(x + r * c + i, part) - mean[r]) * rstd[r]);
    });
  }
};

// Per-channel values, or this thread's array of `otherwise` for an absent input. `slot` 0 or 1 of the workspace.
const float* channelsOr(const Tensor& given, float otherwise, int64_t c, Context& context, int thread, int slot) {
  if (given.present()) return given.f32();
  float* filled = static_cast<float*>(context.workspace(thread)) + slot * c;
  std::fill_n(filled, c, otherwise);
  return filled;
}

}  // namespace

void layerNorm(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t c = x.last(), rows = x.rows(), step = chunkRows(c);
  float *mean = call.out[1].f32(), *rstd = call.out[2].f32();
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int thread) {
    const int64_t r = task * step;
    const float* w = channelsOr(call.in[1], 1, c, context, thread, 0);
    const float* b = channelsOr(call.in[2], 0, c, context, thread, 1);
    const float* from = x.f32() + r * c;
    simd<LayerNormRows>(from, w, b, call.out[0].f32() + r * c, mean ? mean + r : nullptr, rstd ? rstd + r : nullptr,
                        std::min(step, rows - r), c, call.attr[0]);
  });
}

void layerNormVjp(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t c = x.last(), rows = x.rows(), step = chunkRows(c), blocks = blocksOf(rows, step);
  const float* through = call.in[5].f32();
  float *dx = call.out[0].f32(), *dw = call.out[1].f32(), *db = call.out[2].f32();
  float* partial = static_cast<float*>(call.scratch);
  context.pool.run(blocks, [&](int64_t task, int thread) {
    const int64_t r = task * step, count = std::min(step, rows - r);
    const float *from = x.f32() + r * c, *dy = call.in[4].f32() + r * c;
    const float *mean = call.in[2].f32() + r, *rstd = call.in[3].f32() + r;
    float* sums = partial + task * 2 * c;
    if (dw || db) simd<LayerNormSums>(from, mean, rstd, dy, sums, sums + c, count, c);  // before dx covers x or dy
    if (!dx) return;
    const float* w = channelsOr(call.in[1], 1, c, context, thread, 0);
    simd<LayerNormVjpRows>(from, w, mean, rstd, dy, through ? through + r * c : nullptr, dx + r * c, count, c);
  });
  if (dw) sumPartials(context, partial, 1, blocks, 2 * c, c, dw);
  if (db) sumPartials(context, partial + c, 1, blocks, 2 * c, c, db);
}

}  // namespace tlora::cpu
