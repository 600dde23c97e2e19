// out[i] = a[i] x[i] + b[i] y[i] for every sample i; dx[i] = a[i] grad[i], dy[i] = b[i] grad[i]. a, b [n] float32. out may lie over
// x or y.
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

// `each` elements a sample. Without y: out = a x.
template <int W, bool Both>
__global__ void mixKernel(Source x, Source y, const float* a, const float* b, Target out, int64_t n, int64_t each) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t sample = i / each;
    float mixed[W];
    loadElements(x, i, mixed);
    for (int j = 0; j < W; j++) mixed[j] *= a[sample];
    if constexpr (Both) {
      float other[W];
      loadElements(y, i, other);
      for (int j = 0; j < W; j++) mixed[j] += b[sample] * other[j];
    }
    storeElements(out, i, mixed);
  }
}

template <bool Both>
void mix(Context& context, const Tensor& x, const Tensor& y, const float* a, const float* b, const Tensor& out) {
  const int64_t each = x.size() / x.dims[0];
  withWidth({x.data, y.data, out.data}, {each}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, mixKernel<W, Both>, elementGrid<W>(context, x.size()), kElementThreads, source(x), source(y), a, b, target(out),
           x.size(), each);
  });
}

}  // namespace

void mixPerSample(const Call& call, Context& context) {
  mix<true>(context, call.in[0], call.in[1], call.in[2].f32(), call.in[3].f32(), call.out[0]);
}

void mixPerSampleVjp(const Call& call, Context& context) {
  const Tensor &a = call.in[0], &b = call.in[1], &grad = call.in[2];
  if (call.out[0].data) mix<false>(context, grad, grad, a.f32(), nullptr, call.out[0]);
  if (call.out[1].data) mix<false>(context, grad, grad, b.f32(), nullptr, call.out[1]);
}

}  // namespace tlora::cuda
