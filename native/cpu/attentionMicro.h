// Micro-kernels of attention: products whose sums become probabilities or their gradients before they leave the registers,
// and the product that reads those as rows. Panels are those of gemmMicro.h, of 16 lanes.
#pragma once
#include "gemmMicro.h"

namespace tlora::attentionTile {

constexpr int64_t kPanelLanes = 16;
constexpr float kLog2E = 1.44269504088896341f;

// x, but at least a constant; NaN for NaN. GCC 12 makes a comparison and a blend of it.
template <class V> TLORA_INLINE V atLeast(V x, float least) {
  const V bound = least - V{};
#if defined(TLORA_X86_PATHS)
  if constexpr (lanesOf<V> >= 8) {
    V most;
    asm("vmaxps %2, %1, %0" : "=v"(most) : "v"(bound), "vm"(x));
    return most;
  }
#endif
  return x < bound ? bound : x;
}

// a * b + c for constants c, which need not be in registers.
template <class V> TLORA_INLINE V horner(V a, V b, float c) {
#if defined(TLORA_X86_PATHS)
  if constexpr (lanesOf<V> >= 8) {
    asm("vfmadd213ps %2, %1, %0" : "+v"(a) : "v"(b), "vm"(c - V{}));
    return a;
  }
#endif
  return fma(a, b, fill<lanesOf<V>>(c));
}

// The bits of 2^(i / 32) less i << 18, for the low five bits i of each lane: with the lane << 18 added, those of 2^(lane / 32).
TLORA_INLINE VecI<16> powersOfTwo(VecI<16> lane) {
  const VecI<16> low = {0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3, 0x3f78f4f0,
                        0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6};
  const VecI<16> high = {0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c, 0x3f76a81e,
                         0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3};
#if defined(TLORA_X86_PATHS)
  asm("vpermi2d %2, %1, %0" : "+v"(lane) : "v"(low), "v"(high));
#else
  for (int i = 0; i < 16; i++) lane[i] = lane[i] & 16 ? high[lane[i] & 15] : low[lane[i] & 15];
#endif
  return lane;
}

// 2^x for x <= 0 (and a little above), error under 2 ulp; 2^-125, which is as good as nothing, for all below; NaN for NaN.
// x = n + f with |f| <= 1/2; 2^f by a polynomial (Cephes exp2f); n is added to the exponent. Sixteen lanes look up 2^(i / 32) and
// need half the multiplications: x = n + i / 32 + f with |f| <= 1/64, and a least-maximum fit of two terms.
template <class V> TLORA_INLINE V exp2Negative(V x) {
  constexpr int W = lanesOf<V>;
  x = atLeast(x, -125.0f);
  if constexpr (W == 16) {
    const V shifted = x + 393216.0f;  // 1.5 * 2^18: rounds to 32nds in the low bits
    const V f = x - (shifted - 393216.0f);
    const auto bits = reinterpret_cast<VecI<W>>(shifted);
    const V whole = reinterpret_cast<V>(powersOfTwo(bits) + (bits << 18));
    return fma(whole, horner(fill<W>(2.4022660115068473e-1f), f, 6.9315733148207737e-1f) * f, whole);
  } else {
    const V shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds to an integer in the low bits
    const V f = x - (shifted - 12582912.0f);
    V p = fill<W>(1.535336188319500e-4f);
    p = horner(p, f, 1.339887440266574e-3f);
    p = horner(p, f, 9.618437357674640e-3f);
    p = horner(p, f, 5.550332471162809e-2f);
    p = horner(p, f, 2.402264791363012e-1f);
    p = horner(p, f, 6.931472028550421e-1f);
    p = horner(p, f, 1.0f);
    return reinterpret_cast<V>(reinterpret_cast<VecI<W>>(p) + (reinterpret_cast<VecI<W>>(shifted) << 23));
  }
}

// Arguments of the kernels below: C lies in panels, its rows 16 floats apart.
struct ScoreArgs : MicroArgs {
  int64_t cPanel;            // floats between panels of C
  const float* rowShift;     // [rows]
  const float* probability;  // as C
  const float* laneShift;    // [lanes]
  float *laneSum, *laneMost; // [lanes], updated
};

// body(r, n, at): row r and vector n of the tile are at C + at.
template <int W, int R, int N, class Body>
TLORA_INLINE void eachPlace(const ScoreArgs* args, Body body) {
  constexpr int V = kPanelLanes / W;
  const int64_t panel = args->cPanel;
  TLORA_UNROLL
  for (int r = 0; r < R; r++) {
    TLORA_UNROLL
    for (int n = 0; n < N; n++) body(r, n, n / V * panel + r * kPanelLanes + n % V * W);
  }
}

struct InPanels {
  TLORA_INLINE static int64_t panelStep(const MicroArgs* args) { return static_cast<const ScoreArgs*>(args)->cPanel; }
};

// C = 2^(scale * s + rowShift).
struct StoreProbabilities : InPanels {
  template <int W, int R, int N>
  TLORA_INLINE static void run(const MicroArgs* base, Vec<W> (&acc)[R][N]) {
    const auto* args = static_cast<const ScoreArgs*>(base);
    const Vec<W> scale = broadcast<W>(&args->scale);
    const float* shift = args->rowShift;
    float* c = args->c;
    eachPlace<W, R, N>(args, [&](int r, int n, int64_t at) TLORA_INLINE_LAMBDA {
      store(c + at, exp2Negative(fma(acc[r][n], scale, broadcast<W>(shift + r))));
    });
  }
};

// C = probability * (scale * s + rowShift).
struct StoreGradients : InPanels {
  template <int W, int R, int N>
  TLORA_INLINE static void run(const MicroArgs* base, Vec<W> (&acc)[R][N]) {
    const auto* args = static_cast<const ScoreArgs*>(base);
    const Vec<W> scale = broadcast<W>(&args->scale);
    const float *shift = args->rowShift, *probability = args->probability;
    float* c = args->c;
    eachPlace<W, R, N>(args, [&](int r, int n, int64_t at) TLORA_INLINE_LAMBDA {
      const Vec<W> change = fma(acc[r][n], scale, broadcast<W>(shift + r));
      store(c + at, load<W>(probability + at) * change);
    });
  }
};

// C = 2^x with x = scale * s - laneShift; adds it to the sums of lanes, and keeps the largest x of each lane.
struct StoreWeights : InPanels {
  template <int W, int R, int N>
  TLORA_INLINE static void run(const MicroArgs* base, Vec<W> (&acc)[R][N]) {
    const auto* args = static_cast<const ScoreArgs*>(base);
    const Vec<W> scale = broadcast<W>(&args->scale);
    float* c = args->c;
    Vec<W> shift[N], sum[N], most[N];
    TLORA_UNROLL
    for (int n = 0; n < N; n++) {
      shift[n] = -load<W>(args->laneShift + n * W);
      sum[n] = load<W>(args->laneSum + n * W);
      most[n] = load<W>(args->laneMost + n * W);
    }
    eachPlace<W, R, N>(args, [&](int r, int n, int64_t at) TLORA_INLINE_LAMBDA {
      const Vec<W> x = fma(acc[r][n], scale, shift[n]);
      most[n] = maxOf(x, most[n]);
      const Vec<W> weight = exp2Negative(x);
      sum[n] += weight;
      store(c + at, weight);
    });
    TLORA_UNROLL
    for (int n = 0; n < N; n++) {
      store(args->laneSum + n * W, sum[n]);
      store(args->laneMost + n * W, most[n]);
    }
  }
};

template <int H, class V>
TLORA_INLINE Vec<H> lowHalf(V v) {
  if constexpr (lanesOf<V> == 16)
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
  else
    return v;
}

// C [R, 16 P (+ 8)] += A B. A lies in panels aStride floats apart, element (row, k) at a[k / 16 * aStride + row * 16 + k % 16];
// B in panels of `depth` rows, the last of which may count by half.
template <int R, int P, bool half>
struct AddRows {
  template <int W>
  TLORA_INLINE static void run(const MicroArgs* args) {
    constexpr int V = kPanelLanes / W, N = P * V, HW = W < 8 ? W : 8, H = half ? 8 / HW : 0;
    Vec<W> acc[R][N] = {};
    Vec<HW> rest[R][H + 1] = {};
    const float *a = args->a, *b = static_cast<const float*>(args->b);
    const int64_t panel = args->panelBytes / static_cast<int64_t>(sizeof(float));
    auto step = [&](int u) TLORA_INLINE_LAMBDA {
      Vec<W> wide[N];
      Vec<HW> narrow[H + 1];
      TLORA_UNROLL
      for (int n = 0; n < N; n++) wide[n] = load<W>(b + n / V * panel + u * kPanelLanes + n % V * W);
      TLORA_UNROLL
      for (int h = 0; h < H; h++) narrow[h] = load<HW>(b + P * panel + u * kPanelLanes + h * HW);
      TLORA_UNROLL
      for (int r = 0; r < R; r++) {
        const Vec<W> x = broadcast<W>(a + r * kPanelLanes + u);
        TLORA_UNROLL
        for (int n = 0; n < N; n++) acc[r][n] = fma(x, wide[n], acc[r][n]);
        TLORA_UNROLL
        for (int h = 0; h < H; h++) {
          rest[r][h] = fma(lowHalf<HW>(x), narrow[h], rest[r][h]);
        }
      }
    };
    constexpr int unroll = 2;
    const float* c = args->c;
    int ask = R;
    int64_t k = 0;
    for (; k + kPanelLanes <= args->depth; k += kPanelLanes, a += args->aStride - kPanelLanes) {
      for (int u = 0; u < kPanelLanes; u += unroll, a += unroll, b += unroll * kPanelLanes) {
        if (ask-- > 0) {
          TLORA_UNROLL
          for (int p = 0; p < P + half; p++) __builtin_prefetch(c + p * kPanelLanes, 1);
          c += args->cStride;
        }
        TLORA_UNROLL
        for (int i = 0; i < unroll; i++) step(i);
      }
    }
    for (; k < args->depth; k++, a++, b += kPanelLanes) step(0);
    if (args->columns < kPanelLanes * P + 8 * half) return part<W, HW, N, H>(args, acc, rest);
    float* to = args->c;
    TLORA_UNROLL
    for (int r = 0; r < R; r++, to += args->cStride) {
      TLORA_UNROLL
      for (int n = 0; n < N; n++) store(to + n * W, load<W>(static_cast<const float*>(to) + n * W) + acc[r][n]);
      TLORA_UNROLL
      for (int h = 0; h < H; h++) {
        float* at = to + P * kPanelLanes + h * HW;
        store(at, load<HW>(static_cast<const float*>(at)) + rest[r][h]);
      }
    }
  }

  template <int W, int HW, int N, int H>
  TLORA_INLINE static void part(const MicroArgs* args, Vec<W> (&acc)[R][N], Vec<HW> (&rest)[R][H + 1]) {
    constexpr int width = kPanelLanes * (P + 1);
    float tile[R * width];
    TLORA_UNROLL
    for (int r = 0; r < R; r++) {
      TLORA_UNROLL
      for (int n = 0; n < N; n++) store(tile + r * width + n * W, acc[r][n]);
      TLORA_UNROLL
      for (int h = 0; h < H; h++) store(tile + r * width + N * W + h * HW, rest[r][h]);
    }
    finishPart(args, tile, R, width);
  }
};

// The kernels of one kind of CPU: [rows - 1][panels - 1], with tiles of microKernels()'s size. `addRows` has half a panel more
// in [.][.][1], for at most halfRows rows (0: for none).
struct AttentionKernels {
  int maxRows, maxPanels, halfRows;
  MicroKernel probabilities[kMostRows][kMostPanels], gradients[kMostRows][kMostPanels], weights[kMostRows][kMostPanels];
  MicroKernel addRows[kMostRows][kMostPanels][2];
};
const AttentionKernels& attentionKernels();

}  // namespace tlora::attentionTile
