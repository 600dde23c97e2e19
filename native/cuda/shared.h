// Shared memory of a block.
//   TLORA_SHARED(float, tile, 1024);        an array; tile[i], &tile[i]; passed on as SharedArray<float>
//   TLORA_SHARED_DYNAMIC(float, tile);      the bytes asked for at launchShared
//   TLORA_SHARED_DYNAMIC_AT(bf16, b, 4096); the same, from a byte offset on (a multiple of 16)
// Under nvcc these are plain arrays and pointers. In the emulated build they check bounds, and every access is checked for races.
#pragma once
#include <cuda_runtime.h>

#ifdef TLORA_EMULATED_CUDA
#include "shared_array.h"
#define TLORA_SHARED(T, name, count)   \
  static char name##Identity;          \
  const ::tlora::emulated::SharedArray<T> name(&name##Identity, #name, count)
#define TLORA_SHARED_DYNAMIC_AT(T, name, bytes) const auto name = ::tlora::emulated::dynamicShared<T>(#name, bytes)
#else
#define TLORA_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define TLORA_SHARED_DYNAMIC_AT(T, name, bytes)                          \
  extern __shared__ __align__(16) unsigned char tloraDynamicShared[]; \
  T* const name = reinterpret_cast<T*>(tloraDynamicShared + (bytes))
#endif
#define TLORA_SHARED_DYNAMIC(T, name) TLORA_SHARED_DYNAMIC_AT(T, name, 0)

namespace tlora::cuda {

#ifdef TLORA_EMULATED_CUDA
template <class T>
using SharedArray = ::tlora::emulated::SharedArray<T>;
#else
template <class T>
using SharedArray = T*;
#endif

}  // namespace tlora::cuda
