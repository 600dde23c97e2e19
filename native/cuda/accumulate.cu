// sum = c0 sum + c1 grads in place, float32; when c0 is 0 the old sum is not read (it may hold anything).
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

template <int W>
__global__ void accumulateKernel(Target sum, Source grads, const float* c, int64_t n) {
  waitForPrevious();
  const float keep = c[0], take = c[1];
  const Source old{sum.data, sum.dtype};
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    float value[W], more[W];
    loadElements(grads, i, more);
    for (int j = 0; j < W; j++) value[j] = take * more[j];
    if (keep != 0) {
      float before[W];
      loadElements(old, i, before);
      for (int j = 0; j < W; j++) value[j] += keep * before[j];
    }
    storeElements(sum, i, value);
  }
}

}  // namespace

void accumulate(const Call& call, Context& context) {
  const Tensor &sum = call.in[0], &grads = call.in[1];
  const int64_t n = sum.size();
  withWidth({sum.data, grads.data}, {n}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, accumulateKernel<W>, elementGrid<W>(context, n), kElementThreads, target(sum), source(grads), call.in[2].f32(), n);
  });
}

}  // namespace tlora::cuda
