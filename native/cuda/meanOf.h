// mean over everything, and over each sample, of f(a[i], b[i]): chunks of 16384 elements in float32, a block each; their sums are
// added in order in float64.
#pragma once
#include "cuda/elements.h"
#include "cuda/reduce.h"

namespace tlora::cuda {

constexpr int64_t kMeanChunk = 16384;

// partial [samples, chunks], `each` elements a sample; grid (chunks, samples).
template <class F>
__global__ void meanChunks(F f, Source a, Source b, double* partial, int64_t each, bool packs) {
  waitForPrevious();
  const int64_t begin = blockIdx.x * kMeanChunk, end = min(each, begin + kMeanChunk), from = blockIdx.y * each;
  float sum = 0;
  for (int64_t i = begin + threadIdx.x * kPackSize; i < end; i += blockDim.x * kPackSize) {
    if (packs) {
      const Eight x = loadEight(a, from + i), y = loadEight(b, from + i);
      for (int j = 0; j < kPackSize; j++) sum += f(x.v[j], y.v[j]);
    } else {
      for (int64_t j = i; j < end && j < i + kPackSize; j++) sum += f(loadFloat(a, from + j), loadFloat(b, from + j));
    }
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0) partial[blockIdx.y * gridDim.x + blockIdx.x] = double(sum);
}

// mean and perSample (unless nullptr) from the sums of all chunks.
void addMeans(Context& context, const double* partial, float* mean, float* perSample, int64_t samples, int64_t chunks, int64_t each);

// `partial`: 8 bytes for each chunk of each sample.
template <class F>
void meanOf(Context& context, const F& f, const Tensor& a, const Tensor& b, int64_t samples, void* partial, float* mean, float* perSample) {
  const int64_t each = a.size() / samples, chunks = ceilDiv(each, kMeanChunk);
  const bool packs = onPack(a.data) && onPack(b.data) && each % kPackSize == 0;
  auto* sums = static_cast<double*>(partial);
  launch(context, meanChunks<F>, {chunks, samples}, 256, f, source(a), source(b), sums, each, packs);
  addMeans(context, sums, mean, perSample, samples, chunks, each);
}

// dloss / n, where dloss lies on the device: the constant of the gradient of a mean.
struct MeanSlope {
  const float* dloss;
  float n;
  __device__ float constant() const { return dloss[0] / n; }
};

}  // namespace tlora::cuda
