// y[n, i, j] = x[n, floor(i h / height), floor(j w / width)], pixels of c channels; any sizes. Gradient: each dx pixel is the sum of the
// dy pixels that read it (a rectangle, perhaps empty), row by row.
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

struct Sizes {
  int64_t h, w, height, width, c;
};

template <int W>
__global__ void upsampleNearestKernel(Source x, Target y, int64_t n, Sizes s) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t pixel = i / s.c, column = pixel % s.width, row = pixel / s.width % s.height, sample = pixel / s.width / s.height;
    float v[W];
    loadElements(x, ((sample * s.h + row * s.h / s.height) * s.w + column * s.w / s.width) * s.c + i % s.c, v);
    storeElements(y, i, v);
  }
}

// The places i with floor(i * small / large) == at are [firstReader(at), firstReader(at + 1)).
__device__ inline int64_t firstReader(int64_t at, int64_t small, int64_t large) { return (at * large + small - 1) / small; }

template <int W>
__global__ void upsampleNearestVjpKernel(Source dy, Target dx, int64_t n, Sizes s) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t pixel = i / s.c, column = pixel % s.w, row = pixel / s.w % s.h, sample = pixel / s.w / s.h;
    const int64_t top = firstReader(row, s.h, s.height), bottom = firstReader(row + 1, s.h, s.height);
    const int64_t left = firstReader(column, s.w, s.width), right = firstReader(column + 1, s.w, s.width);
    float sum[W] = {};
    for (int64_t r = top; r < bottom; r++) {
      for (int64_t k = left; k < right; k++) {
        float v[W];
        loadElements(dy, ((sample * s.height + r) * s.width + k) * s.c + i % s.c, v);
        for (int j = 0; j < W; j++) sum[j] += v[j];
      }
    }
    storeElements(dx, i, sum);
  }
}

}  // namespace

void upsampleNearest(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  const Sizes sizes{x.dims[1], x.dims[2], y.dims[1], y.dims[2], x.last()};
  withWidth({x.data, y.data}, {x.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, upsampleNearestKernel<W>, elementGrid<W>(context, y.size()), kElementThreads, source(x), target(y), y.size(), sizes);
  });
}

void upsampleNearestVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[0], &dx = call.out[0];
  const Sizes sizes{dx.dims[1], dx.dims[2], dy.dims[1], dy.dims[2], dx.last()};
  withWidth({dy.data, dx.data}, {dx.last()}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, upsampleNearestVjpKernel<W>, elementGrid<W>(context, dx.size()), kElementThreads, source(dy), target(dx), dx.size(),
           sizes);
  });
}

}  // namespace tlora::cuda
