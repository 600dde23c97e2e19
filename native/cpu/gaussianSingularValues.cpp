// Singular values of a Gaussian matrix by the bidiagonal chi model and bisection; the law and the layout of the draws are
// described in lib/ops/gaussianSingularValues.ts. One task a matrix, float64.
#include <algorithm>
#include <cmath>

#include "core/kernel.h"
#include "core/philox.h"
#include "householder.h"

namespace tlora::cpu {
namespace {

// chi_k = sqrt(2 Gamma(k / 2)), Gamma by Marsaglia and Tsang (2000); attempt a of entry j uses block (a, j).
double chi(const PhiloxKey& key, uint32_t entry, int64_t k) {
  const double d = 0.5 * double(k) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (uint32_t attempt = 0;; attempt++) {
    const PhiloxBlock words = philox(key, uint64_t{entry} << 32 | attempt);
    const double x = normalPair(words[0], words[1]).first;
    if (k == 1) return std::fabs(x);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(uniformOf(words[2])) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::sqrt(2 * d * v);
  }
}

// q, e: squares of the diagonal [n] and the superdiagonal [n - 1] of B. values: the singular values number first, first + 1, ...
// of descending order.
struct Bisect {
  static constexpr int kChains = 4;  // vectors of shifts at once: hides the latency of the division

  template <int W>
  TLORA_INLINE static void run(const double* q, const double* e, int64_t n, int64_t first, int64_t count, double bound,
                               double* values) {
    constexpr int kShifts = kChains * W / 2;
    for (int64_t at = 0; at < count; at += kShifts) {
      double low[kShifts], high[kShifts], shift[kShifts], below[kShifts];
      std::fill_n(low, kShifts, 0.0);
      std::fill_n(high, kShifts, bound);
      for (int round = 0; round < 1100 && !close(low, high, kShifts); round++) {
        for (int s = 0; s < kShifts; s++) shift[s] = 0.5 * (low[s] + high[s]);
        countBelow<W>(q, e, n, shift, below);
        for (int s = 0; s < kShifts; s++) {
          const double ascending = double(n - 1 - std::min(first + at + s, first + count - 1));
          (below[s] > ascending ? high : low)[s] = shift[s];
        }
      }
      for (int s = 0; s < kShifts && at + s < count; s++) values[at + s] = 0.5 * (low[s] + high[s]);
    }
  }

  // Until the middle is right to 2^-30 of itself (float32 keeps 2^-24).
  TLORA_INLINE static bool close(const double* low, const double* high, int shifts) {
    for (int s = 0; s < shifts; s++)
      if (high[s] - low[s] > 0x1p-30 * high[s]) return false;
    return true;
  }

  // How many singular values lie below each shift x: the negative pivots of B^T B - x^2 = L D L^T, by the stationary
  // quotient-difference form D_i = q_i + s_i, s_{i+1} = e_i s_i / D_i - x^2, which keeps small values' relative accuracy.
  template <int W>
  TLORA_INLINE static void countBelow(const double* q, const double* e, int64_t n, const double* shift, double* below) {
    using V = Lanes<W>;
    V square[kChains], s[kChains], negative[kChains];
    for (int c = 0; c < kChains; c++) {
      const V x = loadLanes<W>(shift + c * W / 2);
      square[c] = x * x;
      s[c] = -square[c];
      negative[c] = V{};
    }
    for (int64_t i = 0; i < n; i++) {
      const double step = i + 1 < n ? e[i] : 0;
      for (int c = 0; c < kChains; c++) {
        V pivot = q[i] + s[c];
        const V size = pivot < 0 ? -pivot : pivot;
        pivot = size < 1e-200 ? V{} - 1e-200 : pivot;
        negative[c] += pivot < 0 ? V{} + 1.0 : V{};
        s[c] = step * (s[c] / pivot) - square[c];
      }
    }
    for (int c = 0; c < kChains; c++) storeLanes(below + c * W / 2, negative[c]);
  }
};

}  // namespace

void gaussianSingularValues(const Call& call, Context& context) {
  const int64_t m = int64_t(std::max(call.attr[0], call.attr[1])), n = int64_t(std::min(call.attr[0], call.attr[1]));
  const int64_t first = int64_t(call.attr[2]), count = call.out[0].last();
  const double std = call.attr[3];
  context.pool.run(call.out[0].rows(), [&](int64_t task, int thread) {
    const PhiloxKey key(call.in[0].i32() + 4 * task);
    double* q = static_cast<double*>(call.scratch) + thread * (2 * n + count);
    double *e = q + n, *values = e + n, bound = 0;
    for (int64_t i = 0; i < n; i++) {
      const double diagonal = chi(key, uint32_t(i), m - i);
      const double super = i + 1 < n ? chi(key, uint32_t(n + i), n - 1 - i) : 0;
      bound = std::max(bound, diagonal + super);
      q[i] = diagonal * diagonal;
      e[i] = super * super;
    }
    // |B| <= sqrt(|B|_1 |B|_inf) <= twice the largest row sum.
    simd<Bisect>(static_cast<const double*>(q), static_cast<const double*>(e), n, first, count, 2 * bound, values);
    for (int64_t i = 0; i < count; i++) call.out[0].f32()[task * count + i] = float(std * values[i]);
  });
}

}  // namespace tlora::cpu
