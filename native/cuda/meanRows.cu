// y [n, c] = mean of x [n, rows, c] over its rows; dx [n, rows, c] = dy [n, c] / rows, the same in every row.
#include "cuda/columnSums.h"
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

template <int W>
__global__ void meanRowsVjpKernel(Source dy, Target dx, int64_t n, int64_t each, int64_t c, float factor) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    float v[W];
    loadElements(dy, i / each * c + i % c, v);
    for (int j = 0; j < W; j++) v[j] *= factor;
    storeElements(dx, i, v);
  }
}

}  // namespace

void meanRows(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const int64_t rows = x.rows() / x.dims[0];
  columnSums(context, x, call.out[0], x.dims[0], rows, x.last(), 1.0f / float(rows));
}

void meanRowsVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[0], &dx = call.out[0];
  const int64_t each = dx.size() / dx.dims[0], c = dx.last();
  withWidth({dy.data, dx.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, meanRowsVjpKernel<W>, elementGrid<W>(context, dx.size()), kElementThreads, source(dy), target(dx), dx.size(), each,
           c, float(c) / float(each));
  });
}

}  // namespace tlora::cuda
