// Rows of the left singular factor that LAPACK gives for a tall Gaussian matrix; the steps are in lib/ops/complementFrame.ts. Float64.
// One block a frame, held transposed, X [r, m], so that a row of the result is contiguous: a reflection is a dot and a step for each row,
// by one warp. Runs once in a run: FLOPs 4 r n (m - n / 2) a frame, from L2.
#include "core/philox.h"
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/reflector.h"

namespace tlora::cuda {
namespace {

// Blocks that have scratch memory of their own, of (r + 1) m + r² float64; known to lib/ops/complementFrame.ts.
constexpr int64_t kSlots = 64;
constexpr int kThreads = 256, kWarps = kThreads / 32;

struct Shape {
  int64_t count, n, m, r, first;
};

// v[k ...]: a Gaussian vector of length m - k, turned into the vector of reflector k, with its head in place.
__device__ double drawReflector(const PhiloxKey& key, int64_t k, int64_t m, double* v) {
  double squares = 0;
  for (int64_t block = threadIdx.x; k + 4 * block < m; block += kThreads) {
    const auto normal = normalsOf(key, uint64_t(k + 1) << 32 | uint64_t(block));
    for (int64_t i = k + 4 * block; i < m && i < k + 4 * block + 4; i++) {
      v[i] = normal[i - k - 4 * block];
      squares += v[i] * v[i];
    }
  }
  const double sum = blockSum(squares);  // a barrier, too: v is complete
  const Reflector h(v[k], sum);
  __syncthreads();
  if (threadIdx.x == 0) v[k] = h.head;
  __syncthreads();
  return h.tau;
}

__device__ void reflect(double* x, const double* v, double tau, int64_t k, const Shape& s) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  for (int64_t j = warp; j < s.r; j += kWarps) {
    double* to = x + j * s.m;
    double dot = 0;
    for (int64_t i = k + lane; i < s.m; i += 32) dot += v[i] * to[i];
    const double step = tau * warpSum(dot);
    for (int64_t i = k + lane; i < s.m; i += 32) to[i] -= step * v[i];
  }
  __syncthreads();
}

// Lower l [r, r] with l lᵀ = I - C Cᵀ, C the last m - n columns of X. A warp sums an element; then the columns follow each other.
__device__ void factor(const double* x, double* l, const Shape& s) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  for (int64_t place = warp; place < s.r * s.r; place += kWarps) {
    const int64_t a = place / s.r, b = place % s.r;
    if (b > a) continue;
    double dot = 0;
    for (int64_t i = s.n + lane; i < s.m; i += 32) dot += x[a * s.m + i] * x[b * s.m + i];
    dot = warpSum(dot);
    if (lane == 0) l[place] = double(a == b) - dot;
  }
  __syncthreads();
  for (int64_t k = 0; k < s.r; k++) {
    const double pivot = l[k * s.r + k], root = pivot > 0 ? sqrt(pivot) : 0;  // not negative but for rounding
    __syncthreads();
    for (int64_t i = k + threadIdx.x; i < s.r; i += kThreads) l[i * s.r + k] = i == k ? root : root == 0 ? 0 : l[i * s.r + k] / root;
    __syncthreads();
    const int64_t rest = s.r - k - 1;
    for (int64_t place = threadIdx.x; place < rest * rest; place += kThreads) {
      const int64_t i = k + 1 + place / rest, j = k + 1 + place % rest;
      if (j <= i) l[i * s.r + j] -= l[i * s.r + k] * l[j * s.r + k];
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) complement(const int32_t* keys, const float* z, float* out, Shape s, double* scratch) {
  waitForPrevious();
  double *x = scratch + blockIdx.x * ((s.r + 1) * s.m + s.r * s.r), *v = x + s.r * s.m, *l = v + s.m;
  for (int64_t index = blockIdx.x; index < s.count; index += gridDim.x) {
    const PhiloxKey key(keys + 4 * index);
    for (int64_t i = threadIdx.x; i < s.r * s.m; i += kThreads) x[i] = i % s.m == s.first + i / s.m;
    __syncthreads();
    for (int64_t k = 0; k < s.n; k++) reflect(x, v, drawReflector(key, k, s.m, v), k, s);
    factor(x, l, s);
    const float* haar = z + index * s.n * s.r;
    float* to = out + index * s.r * s.m;
    for (int64_t place = threadIdx.x; place < s.r * s.m; place += kThreads) {
      const int64_t a = place / s.m, i = place % s.m;
      double value = x[place];
      if (i < s.n) {
        value = 0;
        for (int64_t b = 0; b <= a; b++) value += l[a * s.r + b] * double(haar[i * s.r + b]);
      }
      to[place] = float(value);
    }
    __syncthreads();
  }
}

}  // namespace

void complementFrame(const Call& call, Context& context) {
  const Tensor &z = call.in[1], &out = call.out[0];
  const Shape shape{out.dims[0], z.dims[1], out.dims[2], z.dims[2], int64_t(call.attr[0])};
  launch(context, complement, std::min(shape.count, kSlots), kThreads, call.in[0].i32(), z.f32(), out.f32(), shape,
         static_cast<double*>(call.scratch));
}

}  // namespace tlora::cuda
