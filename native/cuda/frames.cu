// Float64 in two ways, one block a matrix. Both give Q with R's diagonal positive, which makes it unique.
//
// Cholesky: G = AᵀA = RᵀR, Q = A R⁻¹. Its loss of orthogonality grows with 1 / sin² of the smallest angle between a column and the span of
// those before it, whatever the columns' lengths. It is taken where all sin² are above kLeastSine, which leaves 1e-10 or better: always for
// Gaussian matrices much longer than wide, and after an optimizer's step. Traffic: A twice, Q once. FLOPs: 2 length width².
//
// Householder: for the rest, by reflectors on a float64 copy in scratch memory, so that Q is orthonormal for every A.
#include "cuda/frames.h"

#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/reflector.h"

namespace tlora::cuda {
namespace {

// Blocks that have scratch memory of their own; each takes every kSlots-th matrix. Known to lib/ops/qrFrame.ts.
constexpr int64_t kCholeskySlots = 256, kHouseholderSlots = 8;
constexpr int kThreads = 256, kWarps = kThreads / 32, kTile = 32, kEach = kTile / kWarps, kPitch = kTile + 1;
constexpr double kLeastSine = 1e-6;

// One matrix: element (i, j) at i * rowStep + j * columnStep.
struct View {
  const float* from;
  float* to;
  int64_t m, r, fromRow, fromColumn, toRow, toColumn;

  __device__ View(const Frames& f, int64_t index) {
    if (f.table) {
      const int32_t* entry = f.table + 4 * index;
      m = entry[1], r = entry[2];
      from = to = f.to + entry[0];
      fromRow = toRow = entry[3] ? 1 : r;
      fromColumn = toColumn = entry[3] ? m : 1;
    } else {
      m = f.length, r = f.width;
      from = f.from + index * m * r, to = f.to + index * m * r;
      fromRow = r, fromColumn = 1;
      toRow = f.transposeResult ? 1 : r, toColumn = f.transposeResult ? m : 1;
    }
  }
  __device__ double at(int64_t i, int64_t j) const { return from[i * fromRow + j * fromColumn]; }
  __device__ void put(int64_t i, int64_t j, double value) const { to[i * toRow + j * toColumn] = float(value); }
};

// A's rows and columns from (row, column) on into a tile, zeros outside; neighbouring threads read neighbouring elements.
__device__ void loadTile(const View& view, int64_t row, int64_t column, SharedArray<float> tile) {
  for (int place = int(threadIdx.x); place < kTile * kTile; place += kThreads) {
    const int a = place / kTile, b = place % kTile, i = view.fromRow == 1 ? b : a, j = view.fromRow == 1 ? a : b;
    tile[i * kPitch + j] = row + i < view.m && column + j < view.r ? float(view.at(row + i, column + j)) : 0.0f;
  }
}

// g [r, r], upper triangle: AᵀA. Thread (lane, warp) sums elements (warp + q kWarps, lane) of a tile of g.
__device__ void gram(const View& view, double* g, SharedArray<float> left, SharedArray<float> right) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  for (int64_t first = 0; first < view.r; first += kTile) {
    for (int64_t second = first; second < view.r; second += kTile) {
      double sum[kEach] = {};
      for (int64_t row = 0; row < view.m; row += kTile) {
        loadTile(view, row, first, left);
        loadTile(view, row, second, right);
        __syncthreads();
        for (int k = 0; k < kTile; k++) {
          const double b = float(right[k * kPitch + lane]);
          for (int q = 0; q < kEach; q++) sum[q] += double(float(left[k * kPitch + warp + q * kWarps])) * b;
        }
        __syncthreads();
      }
      for (int q = 0; q < kEach; q++) {
        const int64_t i = first + warp + q * kWarps, j = second + lane;
        if (i <= j && j < view.r) g[i * view.r + j] = sum[q];
      }
    }
  }
  __syncthreads();
}

// g's upper triangle becomes R; diagonal [r] is work space. false, for all threads: some column lies too close to those before it.
__device__ bool cholesky(double* g, double* diagonal, int64_t r) {
  for (int64_t k = threadIdx.x; k < r; k += kThreads) diagonal[k] = g[k * r + k];
  __syncthreads();
  for (int64_t k = 0; k < r; k++) {
    const double pivot = g[k * r + k];
    if (!(pivot > kLeastSine * diagonal[k]) || !(pivot < HUGE_VAL)) return false;
    const double root = sqrt(pivot);
    __syncthreads();
    for (int64_t j = k + threadIdx.x; j < r; j += kThreads) g[k * r + j] = j == k ? root : g[k * r + j] / root;
    __syncthreads();
    const int64_t rest = r - k - 1;
    for (int64_t place = threadIdx.x; place < rest * rest; place += kThreads) {
      const int64_t i = k + 1 + place / rest, j = k + 1 + place % rest;
      if (i <= j) g[i * r + j] -= g[k * r + i] * g[k * r + j];
    }
    __syncthreads();
  }
  return true;
}

// S = R⁻¹, upper: element (i, j) below the diagonal at g[j, i], the diagonal in `diagonal`. A thread solves R s = e_j for its columns.
__device__ void invert(double* g, double* diagonal, int64_t r) {
  for (int64_t j = threadIdx.x; j < r; j += kThreads) {
    diagonal[j] = 1 / g[j * r + j];
    for (int64_t i = j - 1; i >= 0; i--) {
      double sum = g[i * r + j] * diagonal[j];
      for (int64_t k = i + 1; k < j; k++) sum += g[i * r + k] * g[j * r + k];
      g[j * r + i] = -sum / g[i * r + i];
    }
  }
  __syncthreads();
}

// Q = A S. Columns are made from the last to the first, so that in place no column is read after it was written.
__device__ void multiply(const View& view, const double* g, const double* diagonal, SharedArray<float> a, SharedArray<double> s) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int64_t r = view.r, tiles = (r + kTile - 1) / kTile;
  for (int64_t row = 0; row < view.m; row += kTile) {
    for (int64_t second = (tiles - 1) * kTile; second >= 0; second -= kTile) {
      double sum[kEach] = {};
      for (int64_t first = 0; first <= second; first += kTile) {
        loadTile(view, row, first, a);
        for (int place = int(threadIdx.x); place < kTile * kTile; place += kThreads) {
          const int64_t i = first + place % kTile, j = second + place / kTile;
          s[place % kTile * kPitch + place / kTile] = j >= r || i > j ? 0.0 : i == j ? diagonal[j] : g[j * r + i];
        }
        __syncthreads();
        for (int k = 0; k < kTile; k++) {
          const double factor = s[k * kPitch + lane];
          for (int q = 0; q < kEach; q++) sum[q] += double(float(a[(warp + q * kWarps) * kPitch + k])) * factor;
        }
        __syncthreads();
      }
      for (int q = 0; q < kEach; q++) {
        const int64_t i = row + warp + q * kWarps, j = second + lane;
        if (i < view.m && j < r) view.put(i, j, sum[q]);
      }
      __syncthreads();
    }
  }
}

__device__ bool applies(const Frames& frames) {
  for (const float* judged : frames.judged) {
    if (judged && !(*judged - *judged == 0)) return false;  // not so for infinities and NaN
  }
  return true;
}

// left[i] = 1 where the matrix is left to the second kernel.
__global__ void __launch_bounds__(kThreads) byCholesky(Frames frames, int32_t* left, double* scratch) {
  waitForPrevious();
  TLORA_SHARED(float, a, kTile * kPitch);
  TLORA_SHARED(float, b, kTile * kPitch);
  TLORA_SHARED(double, s, kTile * kPitch);
  if (!applies(frames)) return;
  double* g = scratch + blockIdx.x * (frames.width + 1) * frames.width;
  for (int64_t index = blockIdx.x; index < frames.count; index += gridDim.x) {
    const View view(frames, index);
    double* diagonal = g + view.r * view.r;
    gram(view, g, a, b);
    const bool good = cholesky(g, diagonal, view.r);
    if (threadIdx.x == 0) left[index] = good ? 0 : 1;
    if (good) {
      invert(g, diagonal, view.r);
      multiply(view, g, diagonal, a, s);
    }
    __syncthreads();
  }
}

// x [r, m] holds columns. Afterwards column k has the tail of reflector k below its diagonal; a warp changes a column at a time.
__device__ void reduce(double* x, double* heads, double* taus, double* signs, int64_t m, int64_t r) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  for (int64_t k = 0; k < r; k++) {
    const double* v = x + k * m;
    double squares = 0;
    for (int64_t i = k + threadIdx.x; i < m; i += kThreads) squares += v[i] * v[i];
    const Reflector h(v[k], blockSum(squares));
    if (threadIdx.x == 0) heads[k] = h.head, taus[k] = h.tau, signs[k] = h.beta < 0 ? -1 : 1;
    for (int64_t j = k + 1 + warp; j < r; j += kWarps) {
      double* to = x + j * m;
      double dot = lane == 0 ? h.head * to[k] : 0;
      for (int64_t i = k + 1 + lane; i < m; i += 32) dot += v[i] * to[i];
      const double step = h.tau * warpSum(dot);
      if (lane == 0) to[k] -= h.head * step;
      for (int64_t i = k + 1 + lane; i < m; i += 32) to[i] -= v[i] * step;
    }
    __syncthreads();
  }
}

// Q = H_0 ... H_{r-1} [I; 0] in the same place, from the last reflector to the first. Above its diagonal a finished column is 0.
__device__ void form(double* x, const double* heads, const double* taus, int64_t m, int64_t r) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  for (int64_t k = r - 1; k >= 0; k--) {
    double* v = x + k * m;
    const double head = heads[k], tau = taus[k];
    for (int64_t j = k + 1 + warp; j < r; j += kWarps) {
      double* to = x + j * m;
      double dot = 0;
      for (int64_t i = k + 1 + lane; i < m; i += 32) dot += v[i] * to[i];
      const double step = tau * warpSum(dot);
      if (lane == 0) to[k] = -head * step;
      for (int64_t i = k + 1 + lane; i < m; i += 32) to[i] -= v[i] * step;
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < m; i += kThreads) v[i] = i < k ? 0 : i == k ? 1 - tau * head * head : -tau * head * v[i];
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) byHouseholder(Frames frames, const int32_t* left, double* scratch) {
  waitForPrevious();
  if (!applies(frames)) return;
  double* x = scratch + blockIdx.x * (frames.length + 3) * frames.width;
  double *heads = x + frames.length * frames.width, *taus = heads + frames.width, *signs = taus + frames.width;
  for (int64_t index = blockIdx.x; index < frames.count; index += gridDim.x) {
    if (left[index] == 0) continue;
    const View view(frames, index);
    const int64_t m = view.m, r = view.r;
    for (int64_t place = threadIdx.x; place < m * r; place += kThreads) x[place] = view.at(place % m, place / m);
    __syncthreads();
    reduce(x, heads, taus, signs, m, r);
    form(x, heads, taus, m, r);
    for (int64_t place = threadIdx.x; place < m * r; place += kThreads) view.put(place % m, place / m, signs[place / m] * x[place]);
    __syncthreads();
  }
}

}  // namespace

void makeFrames(Context& context, const Frames& frames, void* scratch) {
  auto* left = static_cast<int32_t*>(scratch);
  auto* work = reinterpret_cast<double*>(left + ceilDiv(frames.count, 2) * 2);
  launch(context, byCholesky, std::min(frames.count, kCholeskySlots), kThreads, frames, left, work);
  launch(context, byHouseholder, std::min(frames.count, kHouseholderSlots), kThreads, frames, left, work);
}

}  // namespace tlora::cuda
