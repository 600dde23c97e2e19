// What handlers share: C++ types of PTX types, and floats of 16 bits.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "decode.h"
#include "machine.h"

namespace tlora::ptx {

template <class T>
struct Tag {
  using type = T;
};

struct Half {
  uint16_t bits;
};
struct Bfloat {
  uint16_t bits;
};

// Gives f(Tag<T>{}) for the C++ type of a PTX type; nullptr where f takes none such.
template <class F>
Handler onInteger(Type type, F f) {
  switch (type) {
    case Type::u16: case Type::b16: return f(Tag<uint16_t>{});
    case Type::u32: case Type::b32: return f(Tag<uint32_t>{});
    case Type::u64: case Type::b64: return f(Tag<uint64_t>{});
    case Type::s16: return f(Tag<int16_t>{});
    case Type::s32: return f(Tag<int32_t>{});
    case Type::s64: return f(Tag<int64_t>{});
    default: return nullptr;
  }
}
template <class F>
Handler onFloat(Type type, F f) {
  if (type == Type::f32) return f(Tag<float>{});
  if (type == Type::f64) return f(Tag<double>{});
  return nullptr;
}
template <class F>
Handler onNumber(Type type, F f) {
  return isFloat(type) ? onFloat(type, f) : onInteger(type, f);
}

inline float floatOf(Bfloat x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// IEEE 754 binary16.
inline float floatOf(Half x) {
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16, rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // 2^112 moves the exponent; subnormals come out right, too.
  const float magnitude = std::bit_cast<float>(rest << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

// To nearest, ties to even; NaN becomes 0x7fff (PTX ISA, "cvt").
inline Bfloat bfloatOf(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  return {uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded)};
}
inline Half halfOf(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  // Below 2^-14 the sum with 0.5 rounds to multiples of 2^-24, and leaves them in its low bits.
  const uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (rest - (112u << 23) + 0xfffu + (rest >> 13 & 1)) >> 13;
  uint32_t out = rest < 0x38800000u ? small : normal;
  out = rest >= 0x47800000u ? 0x7c00u : out;
  return {uint16_t(rest > 0x7f800000u ? 0x7fffu : sign | out)};
}

}  // namespace tlora::ptx
