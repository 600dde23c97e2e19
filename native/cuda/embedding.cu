// y [tokens, c] = table[ids], table [v, c]. An id outside the table reads its nearest row: ids are data of the run, checked where
// tokens are made, and must never reach memory outside. Gradient: dtable [v, c] float32; a block owns a row and adds dy in the order
// of the tokens.
#include "cuda/elements.h"

namespace tlora::cuda {

namespace {

__device__ inline int64_t rowOf(int32_t id, int64_t v) { return id < 0 ? 0 : id >= v ? v - 1 : id; }

template <int W>
__global__ void embeddingKernel(const int32_t* ids, Source table, Target y, int64_t n, int64_t v, int64_t c) {
  waitForPrevious();
  for (int64_t i = firstElement<W>(); i < n; i += elementStep<W>()) {
    float row[W];
    loadElements(table, rowOf(ids[i / c], v) * c + i % c, row);
    storeElements(y, i, row);
  }
}

template <int W>
__global__ void embeddingVjpKernel(const int32_t* ids, Source dy, Target dtable, int64_t tokens, int64_t v, int64_t c) {
  waitForPrevious();
  const int64_t row = blockIdx.x;
  for (int64_t i = threadIdx.x * W; i < c; i += blockDim.x * W) {
    float sum[W] = {}, d[W];
    for (int64_t k = 0; k < tokens; k++) {
      if (rowOf(ids[k], v) != row) continue;
      loadElements(dy, k * c + i, d);
      for (int j = 0; j < W; j++) sum[j] += d[j];
    }
    storeElements(dtable, row * c + i, sum);
  }
}

}  // namespace

void embedding(const Call& call, Context& context) {
  const Tensor &table = call.in[1], &y = call.out[0];
  const int64_t c = table.last();
  withWidth({table.data, y.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, embeddingKernel<W>, elementGrid<W>(context, y.size()), kElementThreads, call.in[0].i32(), source(table), target(y),
           y.size(), table.dims[0], c);
  });
}

void embeddingVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[1], &dtable = call.out[0];
  const int64_t v = dtable.dims[0], c = dtable.last();
  withWidth({dy.data, dtable.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, embeddingVjpKernel<W>, v, 128, call.in[0].i32(), source(dy), target(dtable), call.in[0].size(), v, c);
  });
}

}  // namespace tlora::cuda
