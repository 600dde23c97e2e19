// Singular values of a Gaussian matrix by the bidiagonal chi model and bisection; the law and the layout of the draws are described in
// lib/ops/gaussianSingularValues.ts. Float64. One block a matrix: its threads share out the draws, then the values.
#include "core/philox.h"
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace tlora::cuda {
namespace {

constexpr int kThreads = 128;

struct Shape {
  int64_t m, n, first, count;
  double std;
};

// chi_k = sqrt(2 Gamma(k / 2)), Gamma by Marsaglia and Tsang (2000); attempt a of entry j uses block (a, j).
__device__ double chi(const PhiloxKey& key, uint32_t entry, int64_t k) {
  const double d = 0.5 * double(k) - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (uint32_t attempt = 0;; attempt++) {
    const PhiloxBlock words = philox(key, uint64_t{entry} << 32 | attempt);
    const double x = normalPair(words[0], words[1]).first;
    if (k == 1) return fabs(x);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (log(uniformOf(words[2])) < 0.5 * x * x + d - d * v + d * log(v)) return sqrt(2 * d * v);
  }
}

// How many singular values lie below x: the negative pivots of BᵀB - x² = L D Lᵀ, by the stationary quotient-difference form
// D_i = q_i + s_i, s_{i+1} = e_i s_i / D_i - x², which keeps small values' relative accuracy. q, e: squares of the two diagonals.
__device__ int64_t countBelow(const double* q, const double* e, int64_t n, double x) {
  int64_t below = 0;
  double s = -x * x;
  for (int64_t i = 0; i < n; i++) {
    double pivot = q[i] + s;
    if (fabs(pivot) < 1e-200) pivot = -1e-200;
    below += pivot < 0;
    s = e[i] * (s / pivot) - x * x;
  }
  return below;
}

// q, e [count of matrices, n] in scratch memory.
__global__ void __launch_bounds__(kThreads) values(const int32_t* keys, float* sigma, Shape s, double* scratch) {
  waitForPrevious();
  const PhiloxKey key(keys + 4 * blockIdx.x);
  double *q = scratch + blockIdx.x * 2 * s.n, *e = q + s.n, largest = 0;
  for (int64_t i = threadIdx.x; i < s.n; i += kThreads) {
    const double diagonal = chi(key, uint32_t(i), s.m - i);
    const double super = i + 1 < s.n ? chi(key, uint32_t(s.n + i), s.n - 1 - i) : 0;
    largest = Max::of(largest, diagonal + super);
    q[i] = diagonal * diagonal;
    e[i] = super * super;
  }
  // |B| <= sqrt(|B|_1 |B|_inf) <= twice the largest row sum.
  const double bound = 2 * blockMax(largest);
  for (int64_t j = threadIdx.x; j < s.count; j += kThreads) {
    const int64_t ascending = s.n - 1 - (s.first + j);
    double low = 0, high = bound;
    // Until the middle is right to 2^-30 of itself (float32 keeps 2^-24).
    for (int round = 0; round < 1100 && high - low > 0x1p-30 * high; round++) {
      const double middle = 0.5 * (low + high);
      (countBelow(q, e, s.n, middle) > ascending ? high : low) = middle;
    }
    sigma[blockIdx.x * s.count + j] = float(s.std * (0.5 * (low + high)));
  }
}

}  // namespace

void gaussianSingularValues(const Call& call, Context& context) {
  const int64_t rows = int64_t(call.attr[0]), columns = int64_t(call.attr[1]);
  const Shape shape{std::max(rows, columns), std::min(rows, columns), int64_t(call.attr[2]), call.out[0].last(), call.attr[3]};
  launch(context, values, call.out[0].rows(), kThreads, call.in[0].i32(), call.out[0].f32(), shape, static_cast<double*>(call.scratch));
}

}  // namespace tlora::cuda
