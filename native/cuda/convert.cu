// Conversions, a row added to all rows, and sums over rows. Traffic: each tensor once, and a few thousand partial sums.
#include "cuda/convert.h"

#include "cuda/launch.h"
#include "cuda/libraries.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {
namespace {

constexpr int kThreads = 256;

// One element per thread and step: what is converted here is small (a bias, a test's weight, the weight gradient of a convolution).
template <class From, class To>
__global__ void convertElements(const From* from, To* to, int64_t count) {
  waitForPrevious();
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    to[i] = fromFloat<To>(toFloat(from[i]));
  }
}

template <class T>
__global__ void addRow(T* y, int64_t count, int64_t columns, const T* b) {
  waitForPrevious();
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    y[i] = fromFloat<T>(toFloat(y[i]) + toFloat(b[i % columns]));
  }
}

// A block sums 32 columns of one slice of rows: thread (column, lane) takes every kLanes-th row, then the lanes are added in order.
constexpr int kColumns = 32, kLanes = 8;

template <class T>
__global__ void sumColumns(const T* y, int64_t rows, int64_t columns, int64_t rowsEach, float* sums) {
  waitForPrevious();
  TLORA_SHARED(float, partial, kColumns * kLanes);
  const int lane = int(threadIdx.x) / kColumns, place = int(threadIdx.x) % kColumns;
  const int64_t column = int64_t(blockIdx.x) * kColumns + place, first = int64_t(blockIdx.y) * rowsEach;
  const int64_t end = first + rowsEach < rows ? first + rowsEach : rows;
  float sum = 0;
  if (column < columns) {
    for (int64_t row = first + lane; row < end; row += kLanes) sum += toFloat(y[row * columns + column]);
  }
  partial[threadIdx.x] = sum;
  __syncthreads();
  if (lane > 0 || column >= columns) return;
  for (int other = 1; other < kLanes; other++) sum += partial[other * kColumns + place];
  sums[blockIdx.y * columns + column] = sum;
}

}  // namespace

void convert(Context& context, const void* from, DType fromType, void* to, DType toType, int64_t count) {
  withType(fromType, [&](auto fromTag) {
    using From = typename decltype(fromTag)::type;
    withType(toType, [&](auto toTag) {
      using To = typename decltype(toTag)::type;
      launch(context, convertElements<From, To>, gridFor(context, count, kThreads), kThreads, static_cast<const From*>(from), static_cast<To*>(to), count);
    });
  });
}

void addToRows(Context& context, DType dtype, void* y, int64_t rows, int64_t columns, const void* b) {
  withType(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(context, addRow<T>, gridFor(context, rows * columns, kThreads), kThreads, static_cast<T*>(y), rows * columns, columns,
           static_cast<const T*>(b));
  });
}

void columnSums(Context& context, const void* y, DType dtype, int64_t rows, int64_t columns, float* sums) {
  // Slices of rows whose partial sums fit the workspace; the second pass adds those.
  constexpr int64_t kMostSlices = 64, kFewestRows = 64;
  const int64_t slices = std::min(kMostSlices, ceilDiv(rows, kFewestRows)), each = ceilDiv(rows, slices);
  float* partial = slices == 1 ? sums : static_cast<float*>(opWorkspace(context, size_t(slices * columns) * sizeof(float)));
  if (!partial) fail(kDevice, "the workspace is too small for the sums of %lld columns", (long long)columns);
  const int64_t blocks = ceilDiv(columns, kColumns);
  withType(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(context, sumColumns<T>, Grid{blocks, slices}, kColumns * kLanes, static_cast<const T*>(y), rows, columns, each, partial);
  });
  if (slices > 1) launch(context, sumColumns<float>, blocks, kColumns * kLanes, static_cast<const float*>(partial), slices, columns, slices, sums);
}

}  // namespace tlora::cuda
