// The pieces that attention's forward and backward share: tiles in a thread's workspace and products between them.
//
// One operand of every product lies in panels of 16 columns, the other in plain rows, as gemmMicro.h wants them:
//   panels: element (row, column) at [column / 16][row][column % 16], zero past the last column.
// Columns ("lanes") are the queries in the forward pass and the keys in the backward pass, so that sums and maxima over
// the other side run down the rows, lane by lane: no sum ever crosses lanes, and the order of sums is that of the rows.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/kernel.h"
#include "gemmPack.h"

namespace tlora::attentionTile {

constexpr int64_t kPanelLanes = 16;
constexpr int64_t kLanes = 32;  // lanes that go through scores, softmax and products at a time: their tile stays in L1

// The sizes of one call. Row i of head h of sample b starts at ((b * t + i) * c + h * d) of a tensor [n, t, c].
struct Heads {
  int64_t n, tq, tk, c, heads, d;
  bool causal;
  float scale;  // 1 / sqrt(d)
  int64_t at(int64_t t, int64_t sample, int64_t head, int64_t i) const { return (sample * t + i) * c + head * d; }
};

inline Heads headsOf(const Call& call) {
  const Tensor &q = call.in[0], &k = call.in[1];
  const int64_t heads = static_cast<int64_t>(call.attr[0]), d = q.dims[2] / heads;
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
  return {q.dims[0], q.dims[1], k.dims[1], q.dims[2], heads, d, call.attr[1] != 0, scale};
}

// The largest multiple of `step` that is at most `most` and keeps size * d within `floats`, but at least `step`.
inline int64_t tileSize(int64_t d, int64_t floats, int64_t step, int64_t most) {
  return std::clamp(floats / d / step * step, step, most);
}

inline int64_t roundUp(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

// Hands out 64-byte aligned blocks of floats.
class Tiles {
 public:
  explicit Tiles(void* workspace) : at_(static_cast<float*>(workspace)) {}
  float* take(int64_t count) {
    float* tile = at_;
    at_ += roundUp(count, 16);
    return tile;
  }

 private:
  float* at_;
};

// Rows [rows, d] out of a tensor, contiguous: the strides of tensors are often powers of two, which caches dislike.
inline void copyRows(const float* from, int64_t stride, int64_t rows, int64_t d, float* to) {
  for (int64_t i = 0; i < rows; i++) std::memcpy(to + i * d, from + i * stride, sizeof(float) * d);
}

// Asks for rows that will be copied soon: short rows far apart are more than the hardware foresees.
inline void prefetchRows(const float* from, int64_t stride, int64_t rows, int64_t d) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t e = 0; e < d; e += 16) __builtin_prefetch(from + i * stride + e);
}

// The transpose of rows [lanes, d] in panels: row e, lane i = from[i * stride + e].
inline void packLanes(const float* from, int64_t stride, int64_t lanes, int64_t d, float* to) {
  packPanels(columnsOf(from, stride), 0, lanes, 0, d, to);
}

// And back: sums [d, kLanes], one such block for every kLanes lanes, row by row: body(i, values, panel) for lane i, with
// channel e of its row at values[e / 16 * panel + e % 16]. `spare` has room for kLanes * roundUp(d, 16) floats.
template <class Body>
void eachRow(const float* sums, int64_t lanes, int64_t d, float* spare, Body body) {
  for (int64_t first = 0; first < lanes; first += kLanes, sums += kLanes * d) {
    const int64_t count = std::min(kLanes, lanes - first);
    packPanels(columnsOf(sums, kLanes), 0, d, 0, count, spare);
    for (int64_t i = 0; i < count; i++) body(first + i, spare + i * kPanelLanes, count * kPanelLanes);
  }
}

// c [rows, columns] (+)= scale * a [rows, depth] * b, with b in panels that are `panel` floats apart; a as `layout` says.
struct Product {
  const MicroKernels& kernels;

  void operator()(ALayout layout, int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t aStride,
                  const float* b, int64_t panel, float* c, int64_t cStride, bool accumulate, float scale = 1) const {
    const int64_t panels = (columns + kPanelLanes - 1) / kPanelLanes;
    const int64_t tiles = (rows + kernels.maxRows - 1) / kernels.maxRows;
    for (int64_t p = 0; p < panels; p += kernels.maxPanels) {
      const int64_t width = std::min<int64_t>(kernels.maxPanels, panels - p);
      const int count = static_cast<int>(std::min(width * kPanelLanes, columns - p * kPanelLanes));
      for (int64_t tile = 0, r = 0; tile < tiles; tile++) {
        const int64_t height = (rows - r + tiles - tile - 1) / (tiles - tile);  // even shares: no thin last tile
        const MicroArgs args{layout == ALayout::rows ? a + r * aStride : a + r,
                             aStride,
                             b + p * panel,
                             panel * static_cast<int64_t>(sizeof(float)),
                             depth,
                             c + r * cStride + p * kPanelLanes,
                             cStride,
                             count,
                             accumulate,
                             scale,
                             nullptr,
                             nullptr};
        const auto& table = layout == ALayout::rows ? kernels.rows[0] : kernels.columns;
        table[height - 1][width - 1](&args);
        r += height;
      }
    }
  }
};

// 2^x for x <= 0 (and a little above), error under 2 ulp; 2^-125, which is as good as nothing, for all below; NaN for NaN.
// x = n + f with |f| <= 1/2; 2^f by a polynomial (Cephes exp2f); n is added to the exponent.
template <class V> TLORA_INLINE V exp2Negative(V x) {
  constexpr int W = lanesOf<V>;
  x = x < -125.0f ? fill<W>(-125.0f) : x;
  const V shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds to an integer in the low bits
  const V f = x - (shifted - 12582912.0f);
  V p = fill<W>(1.535336188319500e-4f);
  p = fma(p, f, fill<W>(1.339887440266574e-3f));
  p = fma(p, f, fill<W>(9.618437357674640e-3f));
  p = fma(p, f, fill<W>(5.550332471162809e-2f));
  p = fma(p, f, fill<W>(2.402264791363012e-1f));
  p = fma(p, f, fill<W>(6.931472028550421e-1f));
  p = fma(p, f, fill<W>(1.0f));
  return reinterpret_cast<V>(reinterpret_cast<VecI<W>>(p) + (reinterpret_cast<VecI<W>>(shifted) << 23));
}

constexpr float kLog2E = 1.44269504088896341f;

}  // namespace tlora::attentionTile
