// y = x rnorm, rnorm = 1 / sqrt(sum x^2 + eps) over the last axis; dx = rnorm (dy - y sum(y dy)). A warp per row, sums in float32.
// y may lie over x, dx over y or dy.
#include "cuda/elements.h"
#include "cuda/reduce.h"

namespace tlora::cuda {

namespace {

constexpr int kWarps = 8;

// sum over the row of a b; all lanes get it.
template <int W>
__device__ float rowDot(const Source& a, const Source& b, int64_t begin, int64_t c) {
  float sum = 0;
  for (int64_t i = threadIdx.x % 32 * W; i < c; i += 32 * W) {
    float x[W], y[W];
    loadElements(a, begin + i, x);
    loadElements(b, begin + i, y);
    for (int j = 0; j < W; j++) sum += x[j] * y[j];
  }
  return warpSum(sum);
}

template <int W>
__global__ void l2NormalizeKernel(Source x, Target y, float* rnorm, int64_t rows, int64_t c, float eps) {
  waitForPrevious();
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  const float by = 1 / sqrtf(rowDot<W>(x, x, row * c, c) + eps);
  for (int64_t i = threadIdx.x % 32 * W; i < c; i += 32 * W) {
    float v[W];
    loadElements(x, row * c + i, v);
    for (int j = 0; j < W; j++) v[j] *= by;
    storeElements(y, row * c + i, v);
  }
  if (threadIdx.x % 32 == 0 && rnorm) rnorm[row] = by;
}

template <int W>
__global__ void l2NormalizeVjpKernel(Source y, const float* rnorm, Source dy, Target dx, int64_t rows, int64_t c) {
  waitForPrevious();
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (row >= rows) return;
  const float along = rowDot<W>(y, dy, row * c, c), by = rnorm[row];
  for (int64_t i = threadIdx.x % 32 * W; i < c; i += 32 * W) {
    float v[W], d[W];
    loadElements(y, row * c + i, v);
    loadElements(dy, row * c + i, d);
    for (int j = 0; j < W; j++) d[j] = by * (d[j] - v[j] * along);
    storeElements(dx, row * c + i, d);
  }
}

}  // namespace

void l2Normalize(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  const int64_t rows = x.rows(), c = x.last();
  withWidth({x.data, y.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, l2NormalizeKernel<W>, ceilDiv(rows, kWarps), 32 * kWarps, source(x), target(y), call.out[1].f32(), rows, c,
           call.attr[0]);
  });
}

void l2NormalizeVjp(const Call& call, Context& context) {
  const Tensor &y = call.in[0], &dy = call.in[2], &dx = call.out[0];
  const int64_t rows = y.rows(), c = y.last();
  withWidth({y.data, dy.data, dx.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, l2NormalizeVjpKernel<W>, ceilDiv(rows, kWarps), 32 * kWarps, source(y), call.in[1].f32(), source(dy), target(dx),
           rows, c);
  });
}

}  // namespace tlora::cuda
