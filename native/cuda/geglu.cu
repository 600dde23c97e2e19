// Rows [a | g] of 2c: y = a gelu(g); da = dy gelu(g), dg = dy a gelu'(g). Gelu with erf. dx may lie over x: a thread reads its
// elements of both halves before it writes them.
#include "cuda/elements.h"
#include "cuda/geluCurves.h"

namespace tlora::cuda {

namespace {

template <int W>
__global__ void gegluKernel(Source x, Target y, int64_t n, int64_t c) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t at = i / c * 2 * c + i % c;
    float a[W], g[W];
    loadElements(x, at, a);
    loadElements(x, at + c, g);
    for (int j = 0; j < W; j++) a[j] *= GeluErf::value(g[j]);
    storeElements(y, i, a);
  }
}

template <int W>
__global__ void gegluVjpKernel(Source x, Source dy, Target dx, int64_t n, int64_t c) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t at = i / c * 2 * c + i % c;
    float a[W], g[W], d[W];
    loadElements(x, at, a);
    loadElements(x, at + c, g);
    loadElements(dy, i, d);
    for (int j = 0; j < W; j++) {
      const float slope = GeluErf::slope(g[j]);
      g[j] = d[j] * GeluErf::value(g[j]);
      a[j] = d[j] * a[j] * slope;
    }
    storeElements(dx, at, g);
    storeElements(dx, at + c, a);
  }
}

}  // namespace

void geglu(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  withWidth({x.data, y.data}, {y.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, gegluKernel<W>, elementGrid<W>(context, y.size()), kElementThreads, source(x), target(y), y.size(), y.last());
  });
}

void gegluVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &dy = call.in[1], &dx = call.out[0];
  withWidth({x.data, dy.data, dx.data}, {dy.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, gegluVjpKernel<W>, elementGrid<W>(context, dy.size()), kElementThreads, source(x), source(dy), target(dx),
           dy.size(), dy.last());
  });
}

}  // namespace tlora::cuda
