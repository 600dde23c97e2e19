// float16 and bfloat16 bit patterns to float32 and back, one at a time.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "tensor.h"

namespace tlora {

inline float bf16ToF32(uint16_t h) { return std::bit_cast<float>(uint32_t{h} << 16); }

// IEEE binary16: subnormals are mantissa · 2^-24; infinities and NaN keep their kind.
inline float f16ToF32(uint16_t h) {
  const uint32_t sign = uint32_t{h & 0x8000u} << 16;
  const uint32_t exponent = (h >> 10) & 31, mantissa = h & 0x3ffu;
  if (exponent == 0) {
    const float small = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -small : small;
  }
  const uint32_t bits = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | bits | (mantissa << 13));
}

// Element `i` of an array of a float type.
inline float floatAt(const void* data, DType dtype, int64_t i) {
  if (dtype == DType::f32) return static_cast<const float*>(data)[i];
  const uint16_t h = static_cast<const uint16_t*>(data)[i];
  return dtype == DType::f16 ? f16ToF32(h) : bf16ToF32(h);
}

// Rounded to nearest even; NaN stays a quiet NaN.
inline uint16_t f32ToBf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

// Rounded to nearest even; from 65520 on it is infinite.
inline uint16_t f32ToF16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000u;
  const float a = std::fabs(x);
  if (x != x) return static_cast<uint16_t>(sign | 0x7e00u);
  if (a >= 65520.f) return static_cast<uint16_t>(sign | 0x7c00u);
  // Subnormals: the unit 2^-24 stands at the last bit of the mantissa of 0.5 + a, where the sum rounds as wanted.
  if (a < 0x1p-14f) return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(a + 0.5f) - std::bit_cast<uint32_t>(0.5f)));
  const uint32_t magnitude = bits & 0x7fffffffu;
  return static_cast<uint16_t>(sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1)) - (112u << 23)) >> 13);
}

// Writes element `i` of an array of a float type.
inline void putFloat(void* data, DType dtype, int64_t i, float x) {
  if (dtype == DType::f32) {
    static_cast<float*>(data)[i] = x;
  } else {
    static_cast<uint16_t*>(data)[i] = dtype == DType::f16 ? f32ToF16(x) : f32ToBf16(x);
  }
}

}  // namespace tlora
