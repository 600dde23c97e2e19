// Rows of channels as norms read them: units of one 16-byte access where rows and weights lie on 16 bytes, else of one element.
#pragma once
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/types.h"

namespace tlora::cuda {

// Per-channel values [c] of any float type; data may be nullptr.
struct ChannelValues {
  const void* data;
  DType dtype;
};

inline ChannelValues channelValues(const Tensor& t) { return {t.data, t.dtype}; }

// Whether rows of `c` elements at `x`, and these channels, can be read in units of Pack<T>.
template <class T>
bool packed(int64_t c, const void* x, const void* other, const Tensor& w, const Tensor& b) {
  return c % Pack<T>::size == 0 && onPack(x) && onPack(other) && onPack(w.data) && onPack(b.data);
}

// One unit at `from`; of a unit of one element, the rest is 0.
template <class T>
__device__ inline Pack<T> loadUnit(const T* from, bool packed) {
  if (packed) return loadPack(from);
  Pack<T> pack;
  for (int k = 1; k < Pack<T>::size; k++) pack[k] = fromFloat<T>(0);
  pack[0] = *from;
  return pack;
}

template <class T>
__device__ inline void storeUnit(T* to, const float (&values)[Pack<T>::size], bool packed) {
  if (!packed) {
    *to = fromFloat<T>(values[0]);
    return;
  }
  Pack<T> pack;
  for (int k = 0; k < Pack<T>::size; k++) pack[k] = fromFloat<T>(values[k]);
  storePack(to, pack);
}

template <class T, int V>
__device__ inline void loadValues(const T* from, bool packed, float (&values)[V]) {
  if (packed && V % Pack<T>::size == 0) {
    for (int k = 0; k < V; k += Pack<T>::size) {
      const Pack<T> pack = loadPack(from + k);
      for (int i = 0; i < Pack<T>::size && k + i < V; i++) values[k + i] = toFloat(pack[i]);
    }
    return;
  }
  for (int k = 0; k < V; k++) values[k] = k == 0 || packed ? toFloat(from[k]) : 0.0f;
}

// The values of a unit's channels from `at` on; `otherwise` where there are none.
template <int V>
__device__ inline void loadChannels(ChannelValues w, int64_t at, bool packed, float otherwise, float (&values)[V]) {
  if (w.data == nullptr) {
    for (int k = 0; k < V; k++) values[k] = otherwise;
  } else if (w.dtype == DType::f32) {
    loadValues(static_cast<const float*>(w.data) + at, packed, values);
  } else if (w.dtype == DType::bf16) {
    loadValues(static_cast<const bf16*>(w.data) + at, packed, values);
  } else {
    loadValues(static_cast<const f16*>(w.data) + at, packed, values);
  }
}

// sums[i] = sum over k of partial[k * stride + i] for i < n, in the order of k; a thread for each i.
static __global__ void sumPartials(const float* partial, int64_t count, int64_t stride, int64_t n, float* sums) {
  waitForPrevious();
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float sum = 0;
  for (int64_t k = 0; k < count; k++) sum += partial[k * stride + i];
  sums[i] = sum;
}

inline void launchSumPartials(Context& context, const float* partial, int64_t count, int64_t stride, int64_t n, float* sums) {
  launch(context, sumPartials, ceilDiv(n, 128), 128, partial, count, stride, n, sums);
}

}  // namespace tlora::cuda
