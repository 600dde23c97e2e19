// y [n, dim]: sin and cos of t 10000^(-i / (half - freqShift)), half = floor(dim / 2), cosines first if flipSinToCos; the last column
// of an odd dim is 0. Exponents, frequencies and angles rounded to float32, sines and cosines in float64. t float32 or int32.
// diffusers: get_timestep_embedding.
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

__global__ void timestepFeaturesKernel(const void* t, bool integers, Target y, int64_t n, int64_t dim, bool cosinesFirst, double freqShift) {
  waitForPrevious();
  const int64_t half = dim / 2, columns = half + dim % 2;
  const int64_t k = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= n * columns) return;
  const int64_t row = k / columns, i = k % columns;
  if (i == half) return storeFloat(y, row * dim + dim - 1, 0);
  const float time = integers ? float(static_cast<const int32_t*>(t)[row]) : static_cast<const float*>(t)[row];
  const float exponent = -9.210340371976184f * float(i) / float(double(half) - freqShift);  // log 10000
  const float angle = time * float(::exp(double(exponent)));
  storeFloat(y, row * dim + (cosinesFirst ? half + i : i), float(sin(double(angle))));
  storeFloat(y, row * dim + (cosinesFirst ? i : half + i), float(cos(double(angle))));
}

}  // namespace

void timestepFeatures(const Call& call, Context& context) {
  const Tensor &t = call.in[0], &y = call.out[0];
  const int64_t dim = y.last(), pairs = t.size() * (dim / 2 + dim % 2);
  launch(context, timestepFeaturesKernel, ceilDiv(pairs, 128), 128, t.data, t.dtype == DType::i32, target(y), t.size(), dim,
         call.attr[1] != 0, call.attr[2]);
}

}  // namespace tlora::cuda
