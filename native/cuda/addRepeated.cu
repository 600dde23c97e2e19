#include "cuda/addRepeated.h"

#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

template <int W>
__global__ void addRepeatedKernel(Source x, Source y, Target z, int64_t n, int64_t group, int64_t period) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    float a[W], b[W];
    loadElements(x, i, a);
    loadElements(y, i / group * period + i % period, b);
    for (int j = 0; j < W; j++) a[j] += b[j];
    storeElements(z, i, a);
  }
}

}  // namespace

void addRepeated(Context& context, const Tensor& x, const Tensor& y, const Tensor& z, int64_t group, int64_t period) {
  withWidth({x.data, y.data, z.data}, {period}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, addRepeatedKernel<W>, elementGrid<W>(context, x.size()), kElementThreads, source(x), source(y), target(z), x.size(),
           group, period);
  });
}

}  // namespace tlora::cuda
