// Element types of tensors on the device, their conversions, and accesses of 16 bytes.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "core/tensor.h"

namespace tlora::cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;

__host__ __device__ inline float toFloat(float x) { return x; }
__host__ __device__ inline float toFloat(bf16 x) { return __bfloat162float(x); }
__host__ __device__ inline float toFloat(f16 x) { return __half2float(x); }

// Rounds to nearest even.
template <class T>
__host__ __device__ inline T fromFloat(float x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __float2bfloat16_rn(x);
  } else if constexpr (std::is_same_v<T, f16>) {
    return __float2half_rn(x);
  } else {
    static_assert(std::is_same_v<T, float>);
    return x;
  }
}

// What fits into one access: 4 float32, or 8 of the 16-bit types.
template <class T>
struct alignas(16) Pack {
  static constexpr int size = 16 / int(sizeof(T));
  T values[size];
  __device__ T& operator[](int i) { return values[i]; }
  __device__ const T& operator[](int i) const { return values[i]; }
};

// `from` and `to` lie on 16 bytes.
template <class T>
__device__ inline Pack<T> loadPack(const T* from) {
#ifdef TLORA_EMULATED_CUDA
  tlora::emulated::checkAligned(from, 16);
#endif
  Pack<T> pack;
  const uint4 raw = *reinterpret_cast<const uint4*>(from);
  memcpy(&pack, &raw, sizeof raw);
  return pack;
}

template <class T>
__device__ inline void storePack(T* to, const Pack<T>& pack) {
#ifdef TLORA_EMULATED_CUDA
  tlora::emulated::checkAligned(to, 16);
#endif
  uint4 raw;
  memcpy(&raw, &pack, sizeof raw);
  *reinterpret_cast<uint4*>(to) = raw;
}

inline bool onPack(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

template <class T>
struct Type {
  using type = T;
};

// Calls body(Type<T>{}) for the element type of a tensor.
template <class Body>
void withType(DType dtype, Body&& body) {
  if (dtype == DType::f32) return body(Type<float>{});
  if (dtype == DType::bf16) return body(Type<bf16>{});
  if (dtype == DType::f16) return body(Type<f16>{});
  throw std::runtime_error("this kernel has no integers");
}

}  // namespace tlora::cuda
