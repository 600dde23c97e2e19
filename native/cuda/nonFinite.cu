#include "cuda/nonFinite.h"

#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {
namespace {

constexpr int kThreads = 256;
constexpr double kNone = __builtin_huge_val();

// The least index that a block finds. Indices are doubles, which hold them exactly and can be reduced.
template <class T>
__global__ void search(const T* x, int64_t n, double* found) {
  waitForPrevious();
  double least = kNone;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    const float value = toFloat(x[i]);
    if (value - value == 0) continue;
    least = double(i);
    break;
  }
  least = -blockMax(-least);
  if (threadIdx.x == 0) found[blockIdx.x] = least;
}

__global__ void leastOf(const double* found, int64_t count, int64_t* index) {
  waitForPrevious();
  double least = kNone;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) least = found[i] < least ? found[i] : least;
  least = -blockMax(-least);
  if (threadIdx.x == 0) *index = least == kNone ? INT64_MAX : int64_t(least);
}

}  // namespace

void findNonFinite(const Tensor& tensor, Context& context) {
  auto* index = static_cast<int64_t*>(context.workspace);
  auto* found = static_cast<double*>(context.workspace) + 1;
  const Grid blocks = gridFor(context, tensor.size(), kThreads);
  withType(tensor.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(context, search<T>, blocks, {kThreads}, static_cast<const T*>(tensor.data), tensor.size(), found);
  });
  launch(context, leastOf, {1}, {kThreads}, found, blocks.x, index);
}

}  // namespace tlora::cuda
