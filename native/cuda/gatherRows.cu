// y [n, c] = x[i, index[i]], x [n, t, c]; dx [n, t, c] is dy[i] in row index[i] and 0 elsewhere. An index outside is read as the
// nearest row, so that it never reaches memory outside.
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

__device__ inline int64_t nearest(int32_t index, int64_t t) { return index < 0 ? 0 : index >= t ? t - 1 : index; }

template <int W>
__global__ void gatherRowsKernel(Source x, const int32_t* index, Target y, int64_t n, int64_t t, int64_t c) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t sample = i / c;
    float v[W];
    loadElements(x, (sample * t + nearest(index[sample], t)) * c + i % c, v);
    storeElements(y, i, v);
  }
}

template <int W>
__global__ void gatherRowsVjpKernel(const int32_t* index, Source dy, Target dx, int64_t n, int64_t t, int64_t c) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t row = i / c, sample = row / t;
    float v[W] = {};
    if (row % t == nearest(index[sample], t)) loadElements(dy, sample * c + i % c, v);
    storeElements(dx, i, v);
  }
}

}  // namespace

void gatherRows(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  withWidth({x.data, y.data}, {x.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, gatherRowsKernel<W>, elementGrid<W>(context, y.size()), kElementThreads, source(x), call.in[1].i32(), target(y),
           y.size(), x.dims[1], x.last());
  });
}

void gatherRowsVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[1], &dx = call.out[0];
  withWidth({dy.data, dx.data}, {dx.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, gatherRowsVjpKernel<W>, elementGrid<W>(context, dx.size()), kElementThreads, call.in[0].i32(), source(dy),
           target(dx), dx.size(), dx.dims[1], dx.last());
  });
}

}  // namespace tlora::cuda
