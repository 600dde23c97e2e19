// Mean and squared deviations of a set, and of two sets together without their values (Chan, Golub and LeVeque 1979).
#pragma once
#include <cuda_runtime.h>

#include "cuda/reduce.h"

namespace tlora::cuda {

struct Moments {
  float count, mean, squares;  // squares: of the deviations from the mean
};

__device__ inline Moments merge(Moments a, Moments b) {
  const float count = a.count + b.count;
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  const float apart = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

// Over the lanes of a warp; right in lane 0, and given to all.
__device__ inline Moments mergeWarp(Moments m) {
  for (int step = 16; step > 0; step /= 2) {
    const Moments other{__shfl_down_sync(kFullMask, m.count, step), __shfl_down_sync(kFullMask, m.mean, step),
                        __shfl_down_sync(kFullMask, m.squares, step)};
    m = merge(m, other);
  }
  return {__shfl_sync(kFullMask, m.count, 0), __shfl_sync(kFullMask, m.mean, 0), __shfl_sync(kFullMask, m.squares, 0)};
}

}  // namespace tlora::cuda
