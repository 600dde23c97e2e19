// Householder reflections of tall row-major float64 matrices, and the thin QR built on them.
// H = I - tau v v^T with v = x - beta e_1, beta = -sign(x_1) |x|, tau = 1 / (|x|^2 - x_1 beta), so that H x = beta e_1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd.h"

namespace tlora::cpu {

// Rows have this many lanes' worth of padding, so that inner loops have no remainders.
inline int64_t paddedColumns(int64_t columns) { return (columns + 7) / 8 * 8; }

struct Reflector {
  double beta, head, tau;  // head = v_1; the other entries of v are those of x. tau is 0 for x = 0: H = I.
};

inline Reflector reflectorOf(double first, double squaredNorm) {
  if (squaredNorm == 0) return {0, 0, 0};
  const double norm = std::sqrt(squaredNorm), beta = first > 0 ? -norm : norm;
  return {beta, first - beta, 1 / (squaredNorm - first * beta)};
}

template <int W> using Lanes = typename VecOf<double, W / 2>::type;
template <int W> TLORA_INLINE Lanes<W> loadLanes(const double* p) {
  Lanes<W> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V> TLORA_INLINE void storeLanes(double* p, const V& v) { std::memcpy(p, &v, sizeof v); }

// R rows at once: row -= v * c, then next += p * row, over columns [from, to), both multiples of the lanes.
// One pass over the matrix applies a reflection and gathers the products that the next one needs.
template <int W, int R>
TLORA_INLINE void reflectRows(double* const* rows, const double* v, const double* p, const double* c, double* next,
                              int64_t from, int64_t to) {
  for (int64_t j = from; j < to; j += W / 2) {
    const Lanes<W> step = loadLanes<W>(c + j);
    Lanes<W> sum = loadLanes<W>(next + j);
    for (int r = 0; r < R; r++) {
      const Lanes<W> x = loadLanes<W>(rows[r] + j) - v[r] * step;
      storeLanes(rows[r] + j, x);
      sum += p[r] * x;
    }
    storeLanes(next + j, sum);
  }
}

// For rows [begin, end) of a, four at a time: prepare(row, i, v, p) gives a row's coefficients, then reflectRows.
template <int W, class Prepare>
TLORA_INLINE void reflectAll(double* a, int64_t stride, int64_t begin, int64_t end, const double* c, double* next,
                             int64_t from, int64_t to, Prepare prepare) {
  double* rows[4];
  double v[4], p[4];
  int64_t i = begin;
  for (; i + 4 <= end; i += 4) {
    for (int r = 0; r < 4; r++) prepare(rows[r] = a + (i + r) * stride, i + r, v[r], p[r]);
    reflectRows<W, 4>(rows, v, p, c, next, from, to);
  }
  for (; i < end; i++) {
    prepare(rows[0] = a + i * stride, i, v[0], p[0]);
    reflectRows<W, 1>(rows, v, p, c, next, from, to);
  }
}

// a [m, stride], columns past r zero -> the frame Q of a = Q R with positive diagonal of R, in the same place.
// work: 6 rows of stride.
struct Frame {
  template <int W>
  TLORA_INLINE static void run(double* a, int64_t m, int64_t r, int64_t stride, double* work) {
    double *w = work, *next = w + stride, *c = next + stride, *head = c + stride, *tau = head + stride,
           *sign = tau + stride;
    std::fill_n(work, 6 * stride, 0.0);
    reflectAll<W>(a, stride, 0, m, c, w, 0, stride, [&](double* row, int64_t, double& v, double& p) TLORA_INLINE_LAMBDA {
      v = 0;
      p = row[0];
    });
    for (int64_t k = 0; k < r; k++) {  // w[j] = x . column j, from row k on, x = column k
      double* top = a + k * stride;
      const Reflector h = reflectorOf(top[k], w[k]);
      head[k] = h.head, tau[k] = h.tau, sign[k] = h.beta < 0 ? -1 : 1;
      for (int64_t j = 0; j <= k; j++) c[j] = 0;
      for (int64_t j = k + 1; j < stride; j++) c[j] = h.tau * (w[j] - h.beta * top[j]);
      std::fill_n(next, stride, 0.0);
      if (k + 1 == r) break;
      reflectAll<W>(a, stride, k + 1, m, c, next, (k + 1) / 8 * 8, stride,
                    [&](double* row, int64_t, double& v, double& p) TLORA_INLINE_LAMBDA {
                      v = row[k];
                      p = row[k + 1] - v * c[k + 1];
                    });
      std::swap(w, next);
    }
    form<W>(a, m, r, stride, w, next, c, head, tau);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < r; j++) a[i * stride + j] *= sign[j];
  }

  // Q = H_0 ... H_{r-1} [I; 0], from the last reflector to the first. Column k of a holds v below row k until its turn.
  template <int W>
  TLORA_INLINE static void form(double* a, int64_t m, int64_t r, int64_t stride, double* w, double* next, double* c,
                                const double* head, const double* tau) {
    std::fill_n(w, stride, 0.0);
    for (int64_t k = r - 1; k >= 0; k--) {  // w[j] = v . column j of what is formed, j > k; its row k is still zero
      for (int64_t j = 0; j < stride; j++) c[j] = j > k ? tau[k] * w[j] : 0.0;
      std::fill_n(next, stride, 0.0);
      const double scale = tau[k] * head[k];
      reflectAll<W>(a, stride, k + 1, m, c, next, k / 8 * 8, stride,
                    [&](double* row, int64_t, double& v, double& p) TLORA_INLINE_LAMBDA {
                      v = row[k];
                      row[k] = -scale * v;
                      p = k > 0 ? row[k - 1] : 0.0;
                    });
      double* top = a + k * stride;
      for (int64_t j = k + 1; j < r; j++) top[j] = -head[k] * c[j];
      top[k] = 1 - scale * head[k];
      if (k > 0)
        for (int64_t j = k; j < stride; j++) next[j] += top[k - 1] * top[j];
      std::swap(w, next);
    }
  }
};

// The frame of a strided float32 matrix, element (i, j) at x[i * rowStep + j * columnStep], written to y laid out with its own
// steps (y may be x). `scratch` holds (m + 6) * paddedColumns(r) doubles.
struct FrameLayout {
  int64_t rowStep, columnStep;
};

inline void frameOf(const float* x, FrameLayout in, float* y, FrameLayout out, int64_t m, int64_t r, double* scratch) {
  const int64_t stride = paddedColumns(r);
  std::fill_n(scratch, m * stride, 0.0);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < r; j++) scratch[i * stride + j] = x[i * in.rowStep + j * in.columnStep];
  simd<Frame>(scratch, m, r, stride, scratch + m * stride);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < r; j++) y[i * out.rowStep + j * out.columnStep] = float(scratch[i * stride + j]);
}

}  // namespace tlora::cpu
