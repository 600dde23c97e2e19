// y = x in another of the types float32, float16 and bfloat16, rounded to nearest even.
#include "context.h"
#include "launch.h"
#include "types.h"

namespace tlora::cuda {

namespace {

template <class X, class Y>
__global__ void castKernel(const X* x, Y* y, int64_t n) {
  waitForPrevious();
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) y[i] = fromFloat<Y>(toFloat(x[i]));
}

constexpr int kThreads = 256;

}  // namespace

void cast(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  withType(x.dtype, [&](auto from) {
    withType(y.dtype, [&](auto to) {
      using X = typename decltype(from)::type;
      using Y = typename decltype(to)::type;
      const int64_t n = x.size();
      launch(context, castKernel<X, Y>, gridFor(context, n, kThreads), kThreads, static_cast<const X*>(x.data),
             static_cast<Y*>(y.data), n);
    });
  });
}

}  // namespace tlora::cuda
