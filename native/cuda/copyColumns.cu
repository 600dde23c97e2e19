#include "cuda/copyColumns.h"

#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

template <int W>
__global__ void copyColumnsKernel(Source x, Target y, int64_t n, Columns at) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    const int64_t row = i / at.columns, column = i % at.columns;
    float v[W] = {};
    if (x.data) loadElements(x, row * at.xWidth + at.from + column, v);
    storeElements(y, row * at.yWidth + at.to + column, v);
  }
}

}  // namespace

void copyColumns(Context& context, const Tensor* x, const Tensor& y, int64_t rows, const Columns& at) {
  const int64_t n = rows * at.columns;
  const Source from = x ? source(*x) : Source{nullptr, DType::f32};
  withWidth({from.data, y.data}, {at.xWidth, at.from, at.yWidth, at.to, at.columns}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, copyColumnsKernel<W>, elementGrid<W>(context, n), kElementThreads, from, target(y), n, at);
  });
}

}  // namespace tlora::cuda
