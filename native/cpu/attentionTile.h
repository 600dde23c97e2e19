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
#include "attentionMicro.h"
#include "gemmPack.h"

namespace tlora::attentionTile {

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

// body(e, lanes, part) for pieces of a row of d floats: vectors of `lanes`, of which the last may be shorter.
template <int W> struct Pieces {};
template <int W, class Body>
TLORA_INLINE void eachPiece(int64_t d, Body body) {
  int64_t e = 0;
  for (; e + W <= d; e += W) body(e, Pieces<W>{}, Whole{});
  if constexpr (W > 8) {
    if (e + 8 <= d) {
      body(e, Pieces<8>{}, Whole{});
      e += 8;
    }
  }
  if (e < d) body(e, Pieces<W>{}, static_cast<int>(d - e));
}

// Rows [rows, d] out of a tensor, contiguous: the strides of tensors are often powers of two, which caches dislike.
struct CopyRows {
  template <int W>
  TLORA_INLINE static void run(const float* from, int64_t stride, int64_t rows, int64_t d, float* to) {
    for (int64_t i = 0; i < rows; i++, from += stride, to += d) {
      eachPiece<W>(d, [&]<int L>(int64_t e, Pieces<L>, auto part)
                          TLORA_INLINE_LAMBDA { store(to + e, load<L>(from + e, part), part); });
    }
  }
};
inline void copyRows(const float* from, int64_t stride, int64_t rows, int64_t d, float* to) {
  simd<CopyRows>(from, stride, rows, d, to);
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

// And back: sums, one block [roundUp(d, 16), kLanes] for every kLanes lanes, of whose rows d count, become rows:
// body(first, count, values, panel) for lanes first .. first + count, with channel e of lane first + i at
// values[e / 16 * panel + i * 16 + e % 16]. `spare` has room for a block.
template <class Body>
void eachRows(const float* sums, int64_t lanes, int64_t d, float* spare, Body body) {
  const int64_t rows = roundUp(d, kPanelLanes);
  for (int64_t first = 0; first < lanes; first += kLanes, sums += kLanes * rows) {
    packPanels(columnsOf(sums, kLanes), 0, rows, 0, kLanes, spare);
    body(first, std::min(kLanes, lanes - first), static_cast<const float*>(spare), kLanes * kPanelLanes);
  }
}

// body(row, height, panel, width): tiles of at most maxRows x maxPanels, in even shares of rows: no thin last tile.
template <class Body>
void eachTile(int64_t rows, int64_t panels, int64_t maxRows, int64_t maxPanels, Body body) {
  const int64_t tiles = (rows + maxRows - 1) / maxRows;
  for (int64_t p = 0; p < panels; p += maxPanels) {
    for (int64_t tile = 0, r = 0; tile < tiles; tile++) {
      const int64_t height = (rows - r + tiles - tile - 1) / (tiles - tile);
      body(r, height, p, std::min(maxPanels, panels - p));
      r += height;
    }
  }
}

inline int64_t panelsOf(int64_t columns) { return (columns + kPanelLanes - 1) / kPanelLanes; }
constexpr int64_t kBytes = sizeof(float);

// c [rows, columns] (+)= a [rows, depth] * b, with b in panels that are `panel` floats apart; a as `layout` says.
struct Product {
  const MicroKernels& kernels;

  void operator()(ALayout layout, int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t aStride,
                  const float* b, int64_t panel, float* c, int64_t cStride, bool accumulate) const {
    const auto& table = layout == ALayout::rows ? kernels.rows[0] : kernels.columns;
    const int64_t panels = panelsOf(columns);
    eachTile(rows, panels, kernels.maxRows, kernels.maxPanels, [&](int64_t r, int64_t height, int64_t p, int64_t width) {
      const int count = static_cast<int>(std::min(width * kPanelLanes, columns - p * kPanelLanes));
      const MicroArgs args{layout == ALayout::rows ? a + r * aStride : a + r, aStride, b + p * panel, panel * kBytes, depth,
                           c + r * cStride + p * kPanelLanes, cStride, count, accumulate, 1, nullptr, nullptr};
      table[height - 1][width - 1](&args);
    });
  }
};

// What becomes of the sums of a [rows, depth] * b (both as above) as they leave the registers: see ScoreArgs. Everything of
// whole panels; c and probability in panels [rows][16], one after the other.
struct Fused {
  float* c;
  float scale;
  const float* rowShift = nullptr;
  const float* probability = nullptr;
  const float* laneShift = nullptr;
  float *laneSum = nullptr, *laneMost = nullptr;

  void operator()(const MicroKernel (&table)[kMostRows][kMostPanels], int64_t rows, int64_t lanes, int64_t depth,
                  const float* a, int64_t aStride, const float* b) const {
    const AttentionKernels& kernels = attentionKernels();
    const int64_t panel = depth * kPanelLanes, panels = lanes / kPanelLanes;
    const auto lane = [](auto* from, int64_t p) { return from ? from + p * kPanelLanes : nullptr; };
    eachTile(rows, panels, kernels.maxRows, kernels.maxPanels, [&](int64_t r, int64_t height, int64_t p, int64_t width) {
      const int64_t at = (p * rows + r) * kPanelLanes;
      const ScoreArgs args{{a + r * aStride, aStride, b + p * panel, panel * kBytes, depth, c + at, kPanelLanes,
                            static_cast<int>(width * kPanelLanes), false, scale, nullptr, nullptr},
                           rows * kPanelLanes, rowShift ? rowShift + r : nullptr, probability ? probability + at : nullptr,
                           lane(laneShift, p), lane(laneSum, p), lane(laneMost, p)};
      table[height - 1][width - 1](&args);
    });
  }
};

// c [rows, columns] += a [rows, depth] * b, a in panels [rows][16] and b in panels [depth][16].
inline void addRows(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t cStride) {
  const AttentionKernels& kernels = attentionKernels();
  const int64_t over = columns % kPanelLanes, panel = depth * kPanelLanes;
  const bool half = kernels.halfRows > 0 && columns > kPanelLanes && over > 0 && over <= kPanelLanes / 2;
  const int64_t panels = half ? columns / kPanelLanes : panelsOf(columns);
  const auto add = [&](int64_t from, int64_t to, bool withHalf) {
    eachTile(rows, to - from, withHalf ? kernels.halfRows : kernels.maxRows, kernels.maxPanels,
             [&](int64_t r, int64_t height, int64_t p, int64_t width) {
               const int64_t column = (from + p) * kPanelLanes;
               const int count = static_cast<int>(std::min(width * kPanelLanes + (withHalf ? 8 : 0), columns - column));
               const MicroArgs args{a + r * kPanelLanes, rows * kPanelLanes, b + (from + p) * panel, panel * kBytes, depth,
                                    c + r * cStride + column, cStride, count, true, 1, nullptr, nullptr};
               kernels.addRows[height - 1][width - 1][withHalf](&args);
             });
  };
  const int64_t last = half ? (panels - 1) / kernels.maxPanels * kernels.maxPanels : panels;  // the half goes with these
  add(0, last, false);
  if (half) add(last, panels, true);
}

}  // namespace tlora::attentionTile
