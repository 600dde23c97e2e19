#include "cuda/nonFinite.h"

#include "cuda/launch.h"
#include "cuda/types.h"

namespace tlora::cuda {
namespace {

// One block: each thread looks at every blockDim.x-th element and stops at its first find. Used in checking mode only.
template <class T>
__global__ void search(const T* x, int64_t n, int64_t* found) {
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const float value = toFloat(x[i]);
    if (value - value == 0) continue;
    found[threadIdx.x] = i;
    return;
  }
  found[threadIdx.x] = INT64_MAX;
}

__global__ void least(int64_t* found, int64_t count) {
  for (int64_t i = 1; i < count; i++) found[0] = found[i] < found[0] ? found[i] : found[0];
}

constexpr int kThreads = 256;

}  // namespace

void findNonFinite(const Tensor& tensor, Context& context) {
  auto* found = static_cast<int64_t*>(context.workspace);
  withType(tensor.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(context, search<T>, {1}, {kThreads}, static_cast<const T*>(tensor.data), tensor.size(), found);
  });
  launch(context, least, {1}, {1}, found, int64_t{kThreads});
}

}  // namespace tlora::cuda
