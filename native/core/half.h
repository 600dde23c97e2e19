// float16 and bfloat16 bit patterns to float32, one at a time.
#pragma once
#include <bit>
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

}  // namespace tlora
