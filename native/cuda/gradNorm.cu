// norm [1] = sqrt(sum g^2), g [N] float32. Squares and sums in float64, because squares can leave float32's range.
// Two stages of fixed order: a block sums 65536 neighbouring elements, then one block sums the blocks' results. No atomics.
// Traffic: N · 4 bytes read, once.
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr int64_t kNormChunk = 65536;  // lib/ops/gradNorm.ts sizes the scratch memory by it
constexpr int kThreads = 256;

__global__ void squares(const float* g, int64_t n, double* partial) {
  waitForPrevious();
  const int64_t begin = int64_t(blockIdx.x) * kNormChunk, end = begin + kNormChunk < n ? begin + kNormChunk : n;
  double sum = 0;
  int64_t i = begin + int64_t(threadIdx.x) * 4;
  for (; i + 4 <= end; i += kThreads * 4) {
    const Pack<float> pack = loadPack(g + i);
    for (int k = 0; k < 4; k++) sum += double(pack[k]) * double(pack[k]);
  }
  for (; i < end; i++) sum += double(g[i]) * double(g[i]);  // of the last pack, that is shorter
  sum = blockSum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void root(const double* partial, int64_t chunks, float* norm) {
  waitForPrevious();
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunks; i += kThreads) sum += partial[i];
  sum = blockSum(sum);
  if (threadIdx.x == 0) norm[0] = float(sqrt(sum));
}

}  // namespace

void gradNorm(const Call& call, Context& context) {
  const int64_t n = call.in[0].size(), chunks = ceilDiv(n, kNormChunk);
  double* partial = static_cast<double*>(call.scratch);
  launch(context, squares, chunks, kThreads, call.in[0].f32(), n, partial);
  launch(context, root, 1, kThreads, partial, chunks, call.out[0].f32());
}

}  // namespace tlora::cuda
