// Float64 sums and maxima over a warp or a block, in an order that depends on the sizes alone; every thread gets the result. All threads
// of the warp, or block, must call; blocks are whole warps, in one dimension.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/reduce.h"
#include "cuda/shared.h"

namespace tlora::cuda {

struct DoubleSum {
  __device__ static double of(double a, double b) { return a + b; }
};
struct DoubleMax {
  __device__ static double of(double a, double b) { return a > b ? a : b; }
};

template <class Op>
__device__ inline double warpReduceDouble(double value) {
  for (int step = 16; step > 0; step /= 2) value = Op::of(value, __shfl_xor_sync(kFullMask, value, step));
  return value;
}

// Both operations have 0 as a start: maxima are of numbers that are not negative.
template <class Op>
__device__ inline double blockReduceDouble(double value) {
  TLORA_SHARED(double, partial, 32);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  value = warpReduceDouble<Op>(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warpReduceDouble<Op>(lane < warps ? double(partial[lane]) : 0.0);
  __syncthreads();  // the next reduction writes the same places
  return value;
}

__device__ inline double warpSumDouble(double value) { return warpReduceDouble<DoubleSum>(value); }
__device__ inline double blockSumDouble(double value) { return blockReduceDouble<DoubleSum>(value); }
__device__ inline double blockMaxDouble(double value) { return blockReduceDouble<DoubleMax>(value); }

// H = I - tau v vᵀ with v = x - beta e1, beta = -sign(x1) |x|, tau = 1 / (|x|² - x1 beta), so that H x = beta e1. head = v1; the other
// entries of v are those of x. H = I for x = 0.
struct Reflector {
  double beta, head, tau;
  __device__ Reflector(double first, double squares) : beta(0), head(0), tau(0) {
    if (squares == 0) return;
    const double norm = sqrt(squares);
    beta = first > 0 ? -norm : norm;
    head = first - beta;
    tau = 1 / (squares - first * beta);
  }
};

}  // namespace tlora::cuda
