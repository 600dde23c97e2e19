// Filling a tensor from counter-based streams: shared by the draws of normals and uniforms.
#pragma once
#include "core/philox.h"
#include "cuda/launch.h"
#include "cuda/context.h"

namespace tlora::cuda {

// of(words, draw) gives four values of a counter block, one thread each. `each` values a key.
template <class Of>
__global__ void drawKernel(Of of, const int32_t* keys, float* y, int64_t streams, int64_t each) {
  waitForPrevious();
  const int64_t blocks = (each + 3) / 4;
  const int64_t k = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= streams * blocks) return;
  const int64_t stream = k / blocks, block = k % blocks;
  const Four<float> values = of(PhiloxKey(keys + 4 * stream), uint64_t(block));
  for (int64_t i = 4 * block; i < each && i < 4 * block + 4; i++) y[stream * each + i] = values[i - 4 * block];
}

// Key [4], or [n, 4] with one stream for each first index of the output.
template <class Of>
void fillFromStreams(Context& context, const Of& of, const Tensor& keys, const Tensor& y) {
  const int64_t streams = keys.rank == 1 ? 1 : keys.dims[0], each = y.size() / streams;
  launch(context, drawKernel<Of>, ceilDiv(streams * ceilDiv(each, 4), 128), 128, of, keys.i32(), y.f32(), streams, each);
}

}  // namespace tlora::cuda
