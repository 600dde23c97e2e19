// Sums and maxima over a warp or a block, in an order that depends on the sizes alone; every thread gets the result.
// All threads of the warp, or block, must call; blocks are whole warps, in one dimension.
#pragma once
#include <cuda_runtime.h>

#include "cuda/shared.h"

namespace tlora::cuda {

constexpr unsigned kFullMask = 0xffffffffu;

struct Sum {
  static constexpr double identity = 0;
  template <class T>
  __device__ static T of(T a, T b) {
    return a + b;
  }
};
struct Max {
  static constexpr double identity = -__builtin_huge_val();
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
  __device__ static double of(double a, double b) { return fmax(a, b); }
};

// T: float or double.
template <class Op, class T>
__device__ inline T warpReduce(T value) {
  for (int step = 16; step > 0; step /= 2) value = Op::of(value, __shfl_xor_sync(kFullMask, value, step));
  return value;
}

template <class Op, class T>
__device__ inline T blockReduce(T value) {
  TLORA_SHARED(T, partial, 32);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  value = warpReduce<Op>(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warpReduce<Op>(lane < warps ? T(partial[lane]) : T(Op::identity));
  __syncthreads();  // the next reduction writes the same places
  return value;
}

template <class T>
__device__ inline T warpSum(T value) {
  return warpReduce<Sum>(value);
}
template <class T>
__device__ inline T warpMax(T value) {
  return warpReduce<Max>(value);
}
template <class T>
__device__ inline T blockSum(T value) {
  return blockReduce<Sum>(value);
}
template <class T>
__device__ inline T blockMax(T value) {
  return blockReduce<Max>(value);
}

}  // namespace tlora::cuda
