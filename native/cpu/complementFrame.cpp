// Rows of the left singular factor that LAPACK gives for a tall Gaussian matrix; the steps are in lib/ops/complementFrame.ts.
// Held transposed, X [m, r], so that a reflection from the right is one from the left. One task a frame; float64.
#include <algorithm>
#include <cmath>

#include "core/kernel.h"
#include "core/philox.h"
#include "householder.h"

namespace tlora::cpu {
namespace {

// x: a Gaussian vector of length m - k at v[k ...], turned into the vector of reflector k; gives tau.
double drawReflector(const PhiloxKey& key, int64_t k, int64_t m, double* v) {
  double squares = 0;
  for (int64_t i = k; i < m; i += 4) {
    const auto normal = normalsOf(key, uint64_t(k + 1) << 32 | uint64_t((i - k) / 4));
    for (int64_t j = i; j < std::min(m, i + 4); j++) {
      v[j] = normal[j - i];
      squares += v[j] * v[j];
    }
  }
  const Reflector h = reflectorOf(v[k], squares);
  v[k] = h.head;
  return h.tau;
}

// One pass: X -= v c, next = nextV X for rows from `begin`; row `begin` belongs to v alone.
struct Reflect {
  template <int W>
  TLORA_INLINE static void run(double* x, int64_t stride, int64_t begin, int64_t end, const double* c, double* next,
                               const double* v, const double* nextV) {
    reflectAll<W>(x, stride, begin, end, c, next, 0, stride,
                  [&](double*, int64_t i, double& vi, double& pi) TLORA_INLINE_LAMBDA {
                    vi = v[i];
                    pi = nextV[i];
                  });
  }
};

// Rows n.. of X are C^T. Lower L with L L^T = I - C C^T, [r, stride].
void cholesky(const double* x, int64_t n, int64_t m, int64_t r, int64_t stride, double* l) {
  for (int64_t a = 0; a < r; a++) {
    for (int64_t b = 0; b <= a; b++) l[a * stride + b] = a == b;
  }
  for (int64_t i = n; i < m; i++)
    for (int64_t a = 0; a < r; a++)
      for (int64_t b = 0; b <= a; b++) l[a * stride + b] -= x[i * stride + a] * x[i * stride + b];
  for (int64_t a = 0; a < r; a++)
    for (int64_t b = 0; b <= a; b++) {
      double sum = l[a * stride + b];
      for (int64_t k = 0; k < b; k++) sum -= l[a * stride + k] * l[b * stride + k];
      // Not negative but for rounding: C's rows are part of orthonormal rows.
      if (a == b) l[a * stride + a] = std::sqrt(std::max(sum, 0.0));
      else l[a * stride + b] = l[b * stride + b] == 0 ? 0 : sum / l[b * stride + b];
    }
}

void frameRows(const PhiloxKey& key, const float* z, float* out, int64_t n, int64_t m, int64_t r, int64_t first,
               double* scratch) {
  const int64_t stride = paddedColumns(r);
  double *x = scratch, *w = x + m * stride, *next = w + stride, *l = next + stride, *v = l + r * stride,
         *nextV = v + m + 8;
  std::fill_n(x, m * stride, 0.0);
  for (int64_t j = 0; j < r; j++) x[(first + j) * stride + j] = 1;
  double tau = drawReflector(key, 0, m, v);
  std::fill_n(w, stride, 0.0);
  for (int64_t j = 0; j < r; j++) w[j] = v[first + j];
  for (int64_t k = 0; k < n; k++) {
    for (int64_t j = 0; j < r; j++) w[j] *= tau;
    std::fill_n(next, stride, 0.0);
    std::fill_n(nextV, m, 0.0);
    if (k + 1 < n) tau = drawReflector(key, k + 1, m, nextV);
    simd<Reflect>(x, stride, k, m, static_cast<const double*>(w), next, static_cast<const double*>(v),
                  static_cast<const double*>(nextV));
    std::swap(w, next);
    std::swap(v, nextV);
  }
  cholesky(x, n, m, r, stride, l);
  for (int64_t a = 0; a < r; a++) {
    for (int64_t i = 0; i < n; i++) {
      double sum = 0;
      for (int64_t b = 0; b <= a; b++) sum += l[a * stride + b] * z[i * r + b];
      out[a * m + i] = float(sum);
    }
    for (int64_t i = n; i < m; i++) out[a * m + i] = float(x[i * stride + a]);
  }
}

}  // namespace

void complementFrame(const Call& call, Context& context) {
  const Tensor &z = call.in[1], &out = call.out[0];
  const int64_t n = z.dims[1], r = z.dims[2], m = out.dims[2];
  const int64_t each = (m + 2 + r) * paddedColumns(r) + 2 * (m + 8);
  context.pool.run(out.dims[0], [&](int64_t task, int thread) {
    frameRows(PhiloxKey(call.in[0].i32() + 4 * task), z.f32() + task * n * r, out.f32() + task * r * m, n, m, r,
              int64_t(call.attr[0]), static_cast<double*>(call.scratch) + thread * each);
  });
}

}  // namespace tlora::cpu
