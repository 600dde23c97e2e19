// Vector types, barriers, warp shuffles and votes, and mathematics of kernels.
#pragma once
#include <algorithm>

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define TLORA_HERE const std::source_location& at = std::source_location::current()

inline void __syncthreads(TLORA_HERE) { tlora::emulated::blockBarrier(false, at); }
inline int __syncthreads_count(int value, TLORA_HERE) { return tlora::emulated::blockBarrier(value != 0, at); }
inline int __syncthreads_or(int value, TLORA_HERE) { return tlora::emulated::blockBarrier(value != 0, at) != 0; }
inline int __syncthreads_and(int value, TLORA_HERE) { return tlora::emulated::blockBarrier(value == 0, at) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu, TLORA_HERE) {
  tlora::emulated::warpRendezvous(tlora::emulated::WarpOp::sync, mask, 0, at);
}

namespace tlora::emulated {

// The value that lane `source` passed; one's own where there is no such lane in the segment of `width`.
template <class T>
T shuffle(unsigned mask, T value, int source, bool valid, const std::source_location& at) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  const uint64_t* all = warpRendezvous(WarpOp::exchange, mask, bits, at);
  if (!valid) return value;
  if (((mask >> source) & 1) == 0) fault("a warp shuffle reads lane " + std::to_string(source) + ", which is not in its mask");
  memcpy(&value, &all[source], sizeof value);
  return value;
}

inline int lane() { return int(running.linear % 32); }

inline unsigned ballot(unsigned mask, bool value, const std::source_location& at) {
  const uint64_t* all = warpRendezvous(WarpOp::exchange, mask, value, at);
  unsigned votes = 0;
  for (unsigned i = 0; i < 32; i++) votes |= ((mask >> i) & 1) && all[i] ? 1u << i : 0;
  return votes;
}

}  // namespace tlora::emulated

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TLORA_HERE) {
  const int base = tlora::emulated::lane() & ~(width - 1);
  return tlora::emulated::shuffle(mask, value, base + (source & (width - 1)), true, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, TLORA_HERE) {
  const int lane = tlora::emulated::lane(), source = lane ^ lanes;
  return tlora::emulated::shuffle(mask, value, source & 31, source < (lane & ~(width - 1)) + width, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TLORA_HERE) {
  const int lane = tlora::emulated::lane(), source = lane + int(delta);
  return tlora::emulated::shuffle(mask, value, source & 31, source < (lane & ~(width - 1)) + width, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TLORA_HERE) {
  const int lane = tlora::emulated::lane(), source = lane - int(delta);
  return tlora::emulated::shuffle(mask, value, source & 31, source >= (lane & ~(width - 1)), at);
}
inline unsigned __ballot_sync(unsigned mask, int value, TLORA_HERE) { return tlora::emulated::ballot(mask, value != 0, at); }
inline int __any_sync(unsigned mask, int value, TLORA_HERE) { return tlora::emulated::ballot(mask, value != 0, at) != 0; }
inline int __all_sync(unsigned mask, int value, TLORA_HERE) { return tlora::emulated::ballot(mask, value == 0, at) == 0; }
#undef TLORA_HERE

template <class T>
T __ldg(const T* from) {
  return *from;
}

inline float rsqrtf(float x) { return float(1 / std::sqrt(double(x))); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(unsigned(x)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t{a} * b) >> 32); }
inline void __threadfence() {}
inline void __threadfence_block() {}

#define TLORA_MIN_MAX(T)                               \
  inline T min(T a, T b) { return a < b ? a : b; }     \
  inline T max(T a, T b) { return a > b ? a : b; }
TLORA_MIN_MAX(int)
TLORA_MIN_MAX(unsigned)
TLORA_MIN_MAX(long)
TLORA_MIN_MAX(unsigned long)
TLORA_MIN_MAX(long long)
TLORA_MIN_MAX(unsigned long long)
TLORA_MIN_MAX(float)
TLORA_MIN_MAX(double)
#undef TLORA_MIN_MAX
