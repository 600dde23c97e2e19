// Sums and maxima over a warp or a block, in an order that depends on the sizes alone; every thread gets the result.
// All threads of the warp, or block, must call; blocks are whole warps, in one dimension.
#pragma once
#include <cuda_runtime.h>

#include "cuda/shared.h"

namespace tlora::cuda {

constexpr unsigned kFullMask = 0xffffffffu;

struct Sum {
  static constexpr float identity = 0;
  __device__ static float of(float a, float b) { return a + b; }
};
struct Max {
  static constexpr float identity = -__builtin_huge_valf();
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
};

template <class Op>
__device__ inline float warpReduce(float value) {
  for (int step = 16; step > 0; step /= 2) value = Op::of(value, __shfl_xor_sync(kFullMask, value, step));
  return value;
}

template <class Op>
__device__ inline float blockReduce(float value) {
  TLORA_SHARED(float, partial, 32);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  value = warpReduce<Op>(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warpReduce<Op>(lane < warps ? float(partial[lane]) : Op::identity);
  __syncthreads();  // the next reduction writes the same places
  return value;
}

__device__ inline float warpSum(float value) { return warpReduce<Sum>(value); }
__device__ inline float warpMax(float value) { return warpReduce<Max>(value); }
__device__ inline float blockSum(float value) { return blockReduce<Sum>(value); }
__device__ inline float blockMax(float value) { return blockReduce<Max>(value); }

}  // namespace tlora::cuda
