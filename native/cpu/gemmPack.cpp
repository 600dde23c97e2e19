#include "gemmPack.h"

#include <algorithm>
#include <utility>

namespace tlora {
namespace {

constexpr int64_t kLanes = 16;  // columns of a panel
constexpr int64_t kRowsAhead = 2;

// Four floats from each of W / 4 rows, rows four apart: the quarters of one vector.
template <int W>
TLORA_INLINE Vec<W> loadQuarters(const float* p, int64_t stride) {
  if constexpr (W == 4) {
    return load<4>(p);
  } else if constexpr (W == 8) {
    return __builtin_shufflevector(load<4>(p), load<4>(p + 4 * stride), 0, 1, 2, 3, 4, 5, 6, 7);
  } else {
    return __builtin_shufflevector(loadQuarters<8>(p, stride), loadQuarters<8>(p + 8 * stride, stride), 0, 1, 2, 3, 4, 5, 6,
                                   7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
}

// Interleaves the low (or high) halves of every quarter of a and b, by pairs of floats or one by one.
template <int W, bool high, bool pairs>
constexpr int zipLane(int i) {
  const int lane = i % 4;
  const int from = pairs ? lane % 2 : lane / 2, second = pairs ? lane / 2 : lane % 2;
  return i - lane + from + (high ? 2 : 0) + second * W;
}
template <int W, bool high, bool pairs, int... i>
TLORA_INLINE Vec<W> zipLanes(Vec<W> a, Vec<W> b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, zipLane<W, high, pairs>(i)...);
}
template <int W, bool high, bool pairs>
TLORA_INLINE Vec<W> zip(Vec<W> a, Vec<W> b) {
  return zipLanes<W, high, pairs>(a, b, std::make_integer_sequence<int, W>());
}

// out[k * 16 + j] = in[j * stride + k] for 16 x 16 elements: W rows at a time, four columns at a time.
struct Transpose16 {
  template <int W>
  TLORA_INLINE static void run(const float* in, int64_t stride, float* out) {
    TLORA_UNROLL
    for (int j = 0; j < 16; j += W) {
      TLORA_UNROLL
      for (int k = 0; k < 16; k += 4) {
        const float* p = in + j * stride + k;
        const Vec<W> r0 = loadQuarters<W>(p, stride), r1 = loadQuarters<W>(p + stride, stride);
        const Vec<W> r2 = loadQuarters<W>(p + 2 * stride, stride), r3 = loadQuarters<W>(p + 3 * stride, stride);
        const Vec<W> low01 = zip<W, false, false>(r0, r1), high01 = zip<W, true, false>(r0, r1);
        const Vec<W> low23 = zip<W, false, false>(r2, r3), high23 = zip<W, true, false>(r2, r3);
        float* to = out + k * 16 + j;
        store(to, zip<W, false, true>(low01, low23));
        store(to + 16, zip<W, true, true>(low01, low23));
        store(to + 32, zip<W, false, true>(high01, high23));
        store(to + 48, zip<W, true, true>(high01, high23));
      }
    }
  }
};

// Takes runs of `step` lanes from a and b by turns, inside each 128-bit half: its low or high lanes. Step 8: whole halves.
typedef uint16_t Halves __attribute__((vector_size(32)));
template <int step, bool high>
constexpr int zipHalf(int i) {
  if (step == 8) return i % 8 + (high ? 8 : 0) + i / 8 * 16;
  const int lane = i % 8, run = lane / step;
  return i - lane + (high ? 4 : 0) + run / 2 * step + lane % step + run % 2 * 16;
}
template <int step, bool high, int... i>
TLORA_INLINE Halves zipHalves(Halves a, Halves b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, zipHalf<step, high>(i)...);
}
template <int step, bool high>
TLORA_INLINE Halves zipHalves(Halves a, Halves b) {
  return zipHalves<step, high>(a, b, std::make_integer_sequence<int, 16>());
}

// Eight rows, or columns [column / 2][low or high half], so that pairs, fours and eights of rows come to lie side by side.
TLORA_INLINE void turnEight(const uint16_t* in, Halves (&s)[8]) {
  Halves r[8];
  TLORA_UNROLL
  for (int i = 0; i < 8; i++) std::memcpy(&r[i], in + i * 16, sizeof r[i]);
  TLORA_UNROLL
  for (int i = 0; i < 8; i += 2) s[i] = zipHalves<1, false>(r[i], r[i + 1]), s[i + 1] = zipHalves<1, true>(r[i], r[i + 1]);
  TLORA_UNROLL
  for (int i = 0; i < 8; i += 4) {
    r[i] = zipHalves<2, false>(s[i], s[i + 2]), r[i + 1] = zipHalves<2, true>(s[i], s[i + 2]);
    r[i + 2] = zipHalves<2, false>(s[i + 1], s[i + 3]), r[i + 3] = zipHalves<2, true>(s[i + 1], s[i + 3]);
  }
  TLORA_UNROLL
  for (int i = 0; i < 4; i++)
    s[2 * i] = zipHalves<4, false>(r[i], r[i + 4]), s[2 * i + 1] = zipHalves<4, true>(r[i], r[i + 4]);
}

// A 16 x 16 block without gaps, turned: put(k, halves) gets in[j * 16 + k] for all j, once for each k.
template <class Put>
TLORA_INLINE void turnBlock(const uint16_t* in, Put put) {
  Halves low[8], high[8];
  turnEight(in, low);
  turnEight(in + 128, high);
  TLORA_UNROLL
  for (int k = 0; k < 8; k++) {
    put(k, zipHalves<8, false>(low[k], high[k]));
    put(k + 8, zipHalves<8, true>(low[k], high[k]));
  }
}

// Transpose16 of float16 or bfloat16 without gaps, widened at the end: half as much to move as in float32.
template <DType T>
struct WidenTranspose16 {
  template <int W>
  TLORA_INLINE static void run(const uint16_t* in, float* out) {
    if constexpr (W == 4) {
      float wide[16 * 16];
      for (int i = 0; i < 256; i += W) store(wide + i, loadWide<W, T>(in + i));
      Transpose16::run<W>(wide, 16, out);
    } else {
      turnBlock(in, [&](int k, const Halves& row) TLORA_INLINE_LAMBDA {
        TLORA_UNROLL
        for (int j = 0; j < 16; j += W) store(out + k * 16 + j, loadWide<W, T>(reinterpret_cast<const uint16_t*>(&row) + j));
      });
    }
  }
};

// 16 x 16 blocks of halves, `stride` apart, each turned: out[(block * 16 + k) * 16 + j] = in[block * stride + j * 16 + k].
struct TurnBlocks {
  template <int W>
  TLORA_INLINE static void run(const uint16_t* in, int64_t stride, int64_t blocks, uint16_t* out) {
    for (int64_t block = 0; block < blocks; block++, in += stride, out += 256) {
      if constexpr (W == 4) {
        for (int k = 0; k < 16; k++)
          for (int j = 0; j < 16; j++) out[k * 16 + j] = in[j * 16 + k];
      } else {
        turnBlock(in, [&](int k, const Halves& row) TLORA_INLINE_LAMBDA { std::memcpy(out + k * 16, &row, sizeof row); });
      }
    }
  }
};

template <DType T>
struct Widen {
  template <int W>
  TLORA_INLINE static void run(const void* p, int64_t count, float* out) {
    const char* in = static_cast<const char*>(p);
    for (int64_t i = 0; i < count; i += W) store(out + i, loadWide<W, T>(in + i * (T == DType::f32 ? 4 : 2)));
  }
};

// `height` floats of each of `depth` rows, one after the other. Copies whole vectors: what is too much is overwritten by
// the next row, and read from the next row of the matrix; only the last row is copied exactly.
struct CopyStrips {
  template <int W>
  TLORA_INLINE static void run(const float* in, int64_t stride, int64_t depth, int64_t height, float* out) {
    const int64_t whole = stride >= kLanes && depth > 0 ? depth - 1 : 0;
    for (int64_t k = 0; k < whole; k++, in += stride, out += height) {
      __builtin_prefetch(in + kMostPanels * kLanes);  // the next strips: far apart in memory, so no hardware foresees them
      for (int64_t r = 0; r < height; r += W) store(out + r, load<W>(in + r));
    }
    for (int64_t k = whole; k < depth; k++, in += stride, out += height)
      for (int64_t r = 0; r < height; r++) out[r] = in[r];
  }
};

// Copies `count` floats and asks for those `ahead` of them: rows of A are short, so no hardware foresees the next one.
struct CopyAhead {
  template <int W>
  TLORA_INLINE static void run(const float* in, int64_t count, int64_t ahead, float* out) {
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      __builtin_prefetch(in + i + ahead);
      TLORA_UNROLL
      for (int64_t v = 0; v < kLanes; v += W) store(out + i + v, load<W>(in + i + v));
    }
    std::memcpy(out + i, in + i, (count - i) * sizeof(float));
  }
};

// Columns [column, column + count) of the row of the patch matrix for one place of an image, which may lie below its patches.
void copyPatch(const Patches& p, int64_t image, int64_t place, int64_t column, int64_t count, float* out) {
  const int64_t top = place / p.patchColumns * p.step - p.padTop;
  const int64_t left = place % p.patchColumns * p.step - p.padLeft;
  const float* picture = p.picture + image * p.height * p.width * p.channels;
  int64_t tap = column / p.channels, channel = column % p.channels;
  while (count > 0) {
    const int64_t run = std::min(p.channels - channel, count);
    const int64_t y = top + tap / p.tapColumns, x = left + tap % p.tapColumns;
    if (y >= 0 && x >= 0 && y < p.height && x < p.width)
      simd<CopyAhead>(picture + (y * p.width + x) * p.channels + channel, run, kRowsAhead * p.step * p.channels, out);
    else
      std::memset(out, 0, run * sizeof(float));
    out += run;
    count -= run;
    channel = 0;
    tap++;
  }
}

void copyPatch(const Patches& p, int64_t patch, int64_t column, int64_t count, float* out) {
  const int64_t each = p.patchRows * p.patchColumns;
  copyPatch(p, patch / each, patch % each, column, count, out);
}

// Panels from rows of floats: fill(k, columns, row) gives one row of B at a time.
template <class Fill>
void panelsFromRows(int64_t columns, int64_t depth, float* out, Fill fill) {
  const int64_t panels = (columns + kLanes - 1) / kLanes;
  for (int64_t k = 0; k < depth; k++) {
    float row[kLanes * kMostPanels] = {};
    fill(k, row);
    for (int64_t p = 0; p < panels; p++) std::memcpy(out + (p * depth + k) * kLanes, row + p * kLanes, kLanes * sizeof(float));
  }
}

// Plain rows: element (k, j) at p[k * stride + j].
void panelsOfRows(const float* p, int64_t stride, int64_t columns, int64_t depth, int64_t panelFloats, float* out) {
  for (int64_t j = 0; j < columns; j += kLanes, out += panelFloats) {
    const int64_t count = std::min(kLanes, columns - j);
    if (count == kLanes) {
      simd<CopyStrips>(p + j, stride, depth, kLanes, out);
    } else {
      for (int64_t k = 0; k < depth; k++) {
        for (int64_t c = 0; c < kLanes; c++) out[k * kLanes + c] = c < count ? p[k * stride + j + c] : 0.0f;
      }
    }
  }
}

// Plain columns: element (k, j) at p[j * stride + k].
void panelsOfColumns(const float* p, int64_t stride, int64_t columns, int64_t depth, float* out) {
  for (int64_t j = 0; j < columns; j += kLanes, out += depth * kLanes) {
    const int64_t count = std::min(kLanes, columns - j);
    const float* from = p + j * stride;
    const int64_t whole = count == kLanes ? depth / kLanes * kLanes : 0;
    for (int64_t k = 0; k < whole; k += kLanes) simd<Transpose16>(from + k, stride, out + k * kLanes);
    for (int64_t k = whole; k < depth; k++)
      for (int64_t c = 0; c < kLanes; c++) out[k * kLanes + c] = c < count ? from[c * stride + k] : 0.0f;
  }
}

void turnHalves(DType dtype, const void* from, float* out) {
  const auto* in = static_cast<const uint16_t*>(from);
  dtype == DType::f16 ? simd<WidenTranspose16<DType::f16>>(in, out) : simd<WidenTranspose16<DType::bf16>>(in, out);
}

// Rows [row0, row0 + depth) of a packed weight, columns from column0: out[k * 16 + c]. The weight's own panels lie across
// (16 rows of one column together), so blocks are transposed; columns outside the weight do not occur here.
void panelOfWeight(const PackedMatrix& w, int64_t row0, int64_t column0, int64_t count, int64_t depth, float* out) {
  const size_t bytes = dtypeBytes(w.dtype);
  for (int64_t row = row0; row < row0 + depth;) {
    const int64_t panel = row / kPanel, lane = row % kPanel;
    const int64_t run = std::min(kPanel - lane, row0 + depth - row);
    const char* from = static_cast<const char*>(w.data) + (panel * w.cols + column0) * kPanel * bytes;
    if (count == kLanes && run == kPanel && w.dtype != DType::f32) {
      turnHalves(w.dtype, from, out + (row - row0) * kLanes);
      row += run;
      continue;
    }
    float wide[kPanel * kLanes], turned[kPanel * kLanes];
    widen(from, w.dtype, count * kPanel, wide);
    if (count < kLanes) std::fill(wide + count * kPanel, wide + kLanes * kPanel, 0.0f);
    float* to = out + (row - row0) * kLanes;
    simd<Transpose16>(static_cast<const float*>(wide), kPanel, run == kPanel ? to : turned);
    if (run < kPanel) std::memcpy(to, turned + lane * kLanes, run * kLanes * sizeof(float));
    row += run;
  }
}

// Data gradient of a convolution: k runs over (tap, out), the columns over channels.
void panelsOfTaps(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth, float* out) {
  const Taps& taps = b.taps;
  for (int64_t k = k0; k < k0 + depth;) {
    const int64_t first = k % taps.outs;
    const int64_t run = std::min(taps.outs - first, k0 + depth - k);
    const int64_t column = taps.tap[k / taps.outs] * taps.width + j0;
    float* to = out + (k - k0) * kLanes;
    if (b.packed.data) {
      for (int64_t j = 0; j < columns; j += kLanes)
        panelOfWeight(b.packed, first, column + j, std::min(kLanes, columns - j), run, to + j * depth);
    } else {
      const int64_t stride = taps.allTaps * taps.width;
      panelsOfRows(b.data + first * stride + column, stride, columns, run, depth * kLanes, to);
    }
    k += run;
  }
}

}  // namespace

void widen(const void* p, DType dtype, int64_t count, float* out) {
  if (dtype == DType::f16) return simd<Widen<DType::f16>>(p, count, out);
  if (dtype == DType::bf16) return simd<Widen<DType::bf16>>(p, count, out);
  simd<Widen<DType::f32>>(p, count, out);
}

void packRows(const GemmMatrix& a, int64_t i0, int64_t rows, int64_t k0, int64_t depth, float* out) {
  for (int64_t r = 0; r < rows; r++, out += kPackedStride) {
    if (a.kind == GemmMatrix::Kind::patches)
      copyPatch(a.patches, i0 + r, k0, depth, out);
    else
      simd<CopyAhead>(a.data + (i0 + r) * a.stride + k0, depth, kRowsAhead * a.stride, out);
  }
}

void packPatches(const Patches& patches, int64_t i0, int64_t rows, int64_t column, int64_t depth, int64_t stride, float* out) {
  const int64_t each = patches.patchRows * patches.patchColumns;
  for (int64_t r = 0; r < rows; r++)
    copyPatch(patches, i0 / each, i0 % each + r, column, depth, out + r * stride);
}

void packColumns(const GemmMatrix& a, int64_t i0, const RowGroups& groups, int64_t k0, int64_t depth, float* out) {
  for (int64_t g = 0; g < groups.count; g++) {
    const int64_t begin = groups.begin(g), height = groups.height(g);
    simd<CopyStrips>(a.data + k0 * a.stride + i0 + begin, a.stride, depth, height, out + begin * depth);
  }
}

bool turnsWhole(const GemmMatrix& b, int64_t columns, int64_t depth) {
  const bool taps = b.kind == GemmMatrix::Kind::weightTaps;
  if (!b.packed.data || b.packed.dtype == DType::f32 || (b.kind != GemmMatrix::Kind::weight && !taps)) return false;
  return columns % kPanel == 0 && depth % kPanel == 0 && (!taps || b.taps.outs % kPanel == 0);
}

void packHalves(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth, void* out) {
  auto* to = static_cast<uint16_t*>(out);
  for (int64_t k = k0; k < k0 + depth;) {
    const int64_t whole = b.kind == GemmMatrix::Kind::weightTaps ? b.taps.outs - k % b.taps.outs : depth;
    const int64_t run = std::min(whole, k0 + depth - k);
    for (int64_t j = 0; j < columns; j += kPanel) {
      const auto* from = reinterpret_cast<const uint16_t*>(placeOf(b, k, j0 + j));
      simd<TurnBlocks>(from, b.packed.cols * kPanel, run / kPanel, to + j * depth + (k - k0) * kPanel);
    }
    k += run;
  }
}

void packPanels(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth, float* out) {
  switch (b.kind) {
    case GemmMatrix::Kind::rows:
      return panelsOfRows(b.data + k0 * b.stride + j0, b.stride, columns, depth, depth * kLanes, out);
    case GemmMatrix::Kind::columns:
      return panelsOfColumns(b.data + j0 * b.stride + k0, b.stride, columns, depth, out);
    case GemmMatrix::Kind::weight:
      for (int64_t j = 0; j < columns; j += kLanes)
        panelOfWeight(b.packed, k0, j0 + j, std::min(kLanes, columns - j), depth, out + j * depth);
      return;
    case GemmMatrix::Kind::weightTransposed:
      for (int64_t j = j0; j < j0 + columns; j += kLanes, out += depth * kLanes) {
        const size_t at = ((j / kPanel) * b.packed.cols + k0) * kPanel * dtypeBytes(b.packed.dtype);
        widen(static_cast<const char*>(b.packed.data) + at, b.packed.dtype, depth * kPanel, out);
      }
      return;
    case GemmMatrix::Kind::weightTaps:
      return panelsOfTaps(b, j0, columns, k0, depth, out);
    case GemmMatrix::Kind::patches:
      return panelsFromRows(columns, depth, out,
                            [&](int64_t k, float* row) { copyPatch(b.patches, k0 + k, j0, columns, row); });
  }
}

}  // namespace tlora
