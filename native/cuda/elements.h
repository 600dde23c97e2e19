// Elements of tensors as float32, whatever type they are kept in: one kernel serves all types of its operands, which may differ. The
// type is the same for all threads, so that choosing costs next to nothing beside the memory access.
#pragma once
#include <initializer_list>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/types.h"

namespace tlora::cuda {

struct Source {
  const void* data;
  DType dtype;
};
struct Target {
  void* data;
  DType dtype;
};
inline Source source(const Tensor& t) { return {t.data, t.dtype}; }
inline Target target(const Tensor& t) { return {t.data, t.dtype}; }

// What one thread takes at once: one access of 16 bytes in the 16-bit types, two in float32.
constexpr int kPackSize = 8;
struct Eight {
  float v[kPackSize];
};

__device__ inline float loadFloat(const Source& x, int64_t i) {
  if (x.dtype == DType::f32) return static_cast<const float*>(x.data)[i];
  if (x.dtype == DType::bf16) return toFloat(static_cast<const bf16*>(x.data)[i]);
  return toFloat(static_cast<const f16*>(x.data)[i]);
}

__device__ inline void storeFloat(const Target& y, int64_t i, float value) {
  if (y.dtype == DType::f32) static_cast<float*>(y.data)[i] = value;
  else if (y.dtype == DType::bf16) static_cast<bf16*>(y.data)[i] = fromFloat<bf16>(value);
  else static_cast<f16*>(y.data)[i] = fromFloat<f16>(value);
}

template <class T>
__device__ inline Eight loadEightOf(const void* data, int64_t i) {
  Eight eight;
  for (int part = 0; part < kPackSize; part += Pack<T>::size) {
    const Pack<T> pack = loadPack(static_cast<const T*>(data) + i + part);
    for (int j = 0; j < Pack<T>::size; j++) eight.v[part + j] = toFloat(pack[j]);
  }
  return eight;
}

template <class T>
__device__ inline void storeEightOf(void* data, int64_t i, const Eight& eight) {
  for (int part = 0; part < kPackSize; part += Pack<T>::size) {
    Pack<T> pack;
    for (int j = 0; j < Pack<T>::size; j++) pack[j] = fromFloat<T>(eight.v[part + j]);
    storePack(static_cast<T*>(data) + i + part, pack);
  }
}

// Elements i .. i + 7; i is a multiple of 8 and the tensor begins on 16 bytes.
__device__ inline Eight loadEight(const Source& x, int64_t i) {
  if (x.dtype == DType::f32) return loadEightOf<float>(x.data, i);
  if (x.dtype == DType::bf16) return loadEightOf<bf16>(x.data, i);
  return loadEightOf<f16>(x.data, i);
}

__device__ inline void storeEight(const Target& y, int64_t i, const Eight& eight) {
  if (y.dtype == DType::f32) storeEightOf<float>(y.data, i, eight);
  else if (y.dtype == DType::bf16) storeEightOf<bf16>(y.data, i, eight);
  else storeEightOf<f16>(y.data, i, eight);
}

// W elements from i on: 8 in packs, or 1.
template <int W>
__device__ inline void loadElements(const Source& x, int64_t i, float (&v)[W]) {
  if constexpr (W == 1) {
    v[0] = loadFloat(x, i);
  } else {
    const Eight eight = loadEight(x, i);
    for (int j = 0; j < W; j++) v[j] = eight.v[j];
  }
}

template <int W>
__device__ inline void storeElements(const Target& y, int64_t i, const float (&v)[W]) {
  if constexpr (W == 1) {
    storeFloat(y, i, v[0]);
  } else {
    Eight eight;
    for (int j = 0; j < W; j++) eight.v[j] = v[j];
    storeEight(y, i, eight);
  }
}

template <int W>
struct Width {
  static constexpr int value = W;
};

// Calls body(Width<8>{}) where all data lie on 16 bytes and all sizes of rows are multiples of 8, else body(Width<1>{}).
template <class Body>
void withWidth(std::initializer_list<const void*> data, std::initializer_list<int64_t> sizes, Body&& body) {
  bool packs = true;
  for (const void* d : data) packs = packs && onPack(d);
  for (const int64_t size : sizes) packs = packs && size % kPackSize == 0;
  if (packs) body(Width<kPackSize>{});
  else body(Width<1>{});
}

// First element of this thread's group of W, and how far apart its groups are.
template <int W>
__device__ inline int64_t firstElement() {
  return (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * W;
}
template <int W>
__device__ inline int64_t elementStep() {
  return int64_t{gridDim.x} * blockDim.x * W;
}

constexpr int kElementThreads = 256;

// Blocks for `items` elements in groups of W.
template <int W>
Grid elementGrid(const Context& context, int64_t items) {
  return gridFor(context, ceilDiv(items, W), kElementThreads);
}

}  // namespace tlora::cuda
