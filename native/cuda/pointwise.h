// y[i] = f(x0[i], x1[i], ...): elementwise ops on operands of any float types. y may lie over an operand of its own type.
#pragma once
#include "cuda/elements.h"

namespace tlora::cuda {

template <int N>
struct Sources {
  Source x[N];
};

// A function without a value of its own. Others have `constant`, read once per thread, from the device where it lies there.
struct Plain {
  __device__ float constant() const { return 0; }
};

// `F` is called with N values and its constant. Eight elements at once where `packs`, the last ones alone.
template <class F, int N>
__global__ void pointwiseKernel(F f, Sources<N> in, Target y, int64_t n, bool packs) {
  waitForPrevious();
  const float constant = f.constant();
  for (int64_t i = firstElement<kPackSize>(); i < n; i += elementStep<kPackSize>()) {
    if (packs && i + kPackSize <= n) {
      Eight x[N], result;
      for (int k = 0; k < N; k++) x[k] = loadEight(in.x[k], i);
      for (int j = 0; j < kPackSize; j++) {
        float values[N];
        for (int k = 0; k < N; k++) values[k] = x[k].v[j];
        result.v[j] = f(values, constant);
      }
      storeEight(y, i, result);
    } else {
      for (int64_t j = i; j < n && j < i + kPackSize; j++) {
        float values[N];
        for (int k = 0; k < N; k++) values[k] = loadFloat(in.x[k], j);
        storeFloat(y, j, f(values, constant));
      }
    }
  }
}

template <class F, class... X>
void pointwise(Context& context, const F& f, const Tensor& y, const X&... x) {
  constexpr int N = sizeof...(X);
  const bool packs = (onPack(x.data) && ...) && onPack(y.data);
  launch(context, pointwiseKernel<F, N>, elementGrid<kPackSize>(context, y.size()), kElementThreads, f, Sources<N>{{source(x)...}},
         target(y), y.size(), packs);
}

}  // namespace tlora::cuda
