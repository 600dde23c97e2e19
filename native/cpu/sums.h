// Sums inside run<W> of simd.h: float32 lanes over short stretches, few terms in a row, the same order on every run.
#pragma once
#include "cpu/simd.h"

namespace tlora {

// v with every lane from `part` on set to 0.
template <class V> TLORA_INLINE V firstLanes(V v, Whole) { return v; }
template <class V> TLORA_INLINE V firstLanes(V v, int part) {
  float lanes[lanesOf<V>] = {};
  store(lanes, v, part);
  return load<lanesOf<V>>(lanes);
}

// Sum of term(i, part) over a row of n elements: four sums side by side, then by halves.
template <int W, class Term>
TLORA_INLINE float sumRow(int64_t n, Term term) {
  Vec<W> s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    s0 += term(i, Whole{});
    s1 += term(i + W, Whole{});
    s2 += term(i + 2 * W, Whole{});
    s3 += term(i + 3 * W, Whole{});
  }
  for (; i + W <= n; i += W) s0 += term(i, Whole{});
  if (i < n) s1 += firstLanes(term(i, static_cast<int>(n - i)), static_cast<int>(n - i));
  return sumLanes((s0 + s1) + (s2 + s3));
}

// sums[i] = sum over rows r of term(r, i, part), for c channels i: groups of four rows, then in order.
template <int W, class Term>
TLORA_INLINE void sumRows(int64_t rows, int64_t c, float* sums, Term term) {
  for (int64_t i = 0; i < c; i++) sums[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> four = (term(r, i, part) + term(r + 1, i, part)) + (term(r + 2, i, part) + term(r + 3, i, part));
      store(sums + i, load<W>(sums + i, part) + four, part);
    });
  for (; r < rows; r++)
    eachVec<W>(c, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      store(sums + i, load<W>(sums + i, part) + term(r, i, part), part);
    });
}

// Sum of the squares of term(i, part) in float64; every product of two float32 is exact there.
template <int W, class Term>
TLORA_INLINE double sumSquares(int64_t n, Term term) {
  VecD<W> s0{}, s1{};
  auto square = [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
    VecD<W> v = __builtin_convertvector(firstLanes(term(i, part), part), VecD<W>);
    return v * v;
  };
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    s0 += square(i, Whole{});
    s1 += square(i + W, Whole{});
  }
  for (; i + W <= n; i += W) s0 += square(i, Whole{});
  if (i < n) s1 += square(i, static_cast<int>(n - i));
  s0 += s1;
  double total = 0;
  for (int lane = 0; lane < W; lane++) total += s0[lane];
  return total;
}

}  // namespace tlora
