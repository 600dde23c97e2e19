// Rows are cut into chunks, so that enough blocks share the work; a block sums a chunk of 32 W columns, its warps taking turns at the
// rows, and a second kernel adds the chunks in order.
#include "cuda/columnSums.h"

#include <algorithm>

#include "cuda/elements.h"
#include "cuda/shared.h"

namespace tlora::cuda {

namespace {

constexpr int kWarps = 8;
constexpr int64_t kLeastRows = 64;  // of a chunk: fewer are not worth a block

// partial [batch, chunks, c]; grid (columns / (32 W), chunks, batch).
template <int W>
__global__ void sumChunks(Source x, float* partial, int64_t rows, int64_t c, int64_t chunkRows) {
  waitForPrevious();
  TLORA_SHARED(float, sums, kWarps * 32 * W);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int64_t column = (int64_t{blockIdx.x} * 32 + lane) * W;
  const int64_t first = blockIdx.y * chunkRows, last = min(rows, first + chunkRows);
  float sum[W] = {};
  if (column < c) {
    for (int64_t r = first + warp; r < last; r += kWarps) {
      float v[W];
      loadElements(x, (blockIdx.z * rows + r) * c + column, v);
      for (int j = 0; j < W; j++) sum[j] += v[j];
    }
  }
  for (int j = 0; j < W; j++) sums[(warp * W + j) * 32 + lane] = sum[j];
  __syncthreads();
  // Element k of the block's 32 W columns is lane k / W, part k % W.
  for (int k = int(threadIdx.x); k < 32 * W; k += int(blockDim.x)) {
    const int64_t at = int64_t{blockIdx.x} * 32 * W + k;
    if (at >= c) continue;
    float total = 0;
    for (int w = 0; w < kWarps; w++) total += sums[(w * W + k % W) * 32 + k / W];
    partial[(int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * c + at] = total;
  }
}

__global__ void addChunks(const float* partial, Target y, int64_t n, int64_t c, int64_t chunks, float factor) {
  waitForPrevious();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float total = 0;
  for (int64_t k = 0; k < chunks; k++) total += partial[(i / c * chunks + k) * c + i % c];
  storeFloat(y, i, total * factor);
}

}  // namespace

void columnSums(Context& context, const Tensor& x, const Tensor& y, int64_t batch, int64_t rows, int64_t c, float factor) {
  const int64_t room = int64_t(context.workspaceBytes / sizeof(float)) / (batch * c);
  if (room < 1) throw std::runtime_error("the workspace is too small for the sums of so many columns");
  const int64_t wanted = ceilDiv(int64_t{context.multiprocessors} * 4, ceilDiv(c, 32) * batch);
  const int64_t chunks = std::clamp<int64_t>(std::min(wanted, ceilDiv(rows, kLeastRows)), 1, std::min<int64_t>(room, 65535));
  const int64_t chunkRows = ceilDiv(rows, chunks);
  auto* partial = static_cast<float*>(context.workspace);
  withWidth({x.data}, {c}, [&](auto width) {
    constexpr int W = decltype(width)::value;
    launch(context, sumChunks<W>, {ceilDiv(c, 32 * W), chunks, batch}, kWarps * 32, source(x), partial, rows, c, chunkRows);
  });
  launch(context, addChunks, ceilDiv(batch * c, kElementThreads), kElementThreads, partial, target(y), batch * c, c, chunks, factor);
}

}  // namespace tlora::cuda
