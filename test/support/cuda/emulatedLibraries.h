// What the twins of the library wrappers share: choices of algorithms, of which each shape has one, and operands as float32.
#pragma once
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/half.h"
#include "cuda/choices.h"
#include "cuda/context.h"
#include "cuda/libraries.h"
#include "emulator.h"

namespace tlora::cuda {

struct Libraries {
  Choices choices;
};

// As a library does at the first use of a shape. A kept choice that no library would have made is an error.
inline void chooseFor(const Context& context, const std::string& shape) {
  const std::string* kept = context.libraries->choices.find(shape);
  if (kept && *kept != "emulated") fail(kDevice, "the kept choice of an algorithm cannot be read: %s (%s)", kept->c_str(), shape.c_str());
  if (!kept) context.libraries->choices.keep(shape, "emulated");
}

// cuDNN's tensors are described as lying on 16 bytes; on a device, one that does not is read wrongly.
inline void expectAligned(const std::string& shape, std::initializer_list<const void*> tensors) {
  for (const void* data : tensors) {
    if (reinterpret_cast<uintptr_t>(data) % 16 != 0) fail(kDevice, "a tensor of cuDNN does not lie on 16 bytes (%s)", shape.c_str());
  }
}

// TF32 keeps 10 bits of a float's mantissa.
inline float toTf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0xfff + (bits >> 13 & 1)) & ~uint32_t{0x1fff};
  memcpy(&x, &bits, sizeof bits);
  return x;
}

inline std::vector<float> floatsOf(const void* data, DType dtype, int64_t count, bool tf32 = false) {
  std::vector<float> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; i++) {
    const float x = floatAt(data, dtype, i);
    out[size_t(i)] = tf32 && dtype == DType::f32 ? toTf32(x) : x;
  }
  return out;
}

}  // namespace tlora::cuda
