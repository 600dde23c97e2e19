// What the twins of the library wrappers share: choices of algorithms, and operands as float32.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
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

// The times of a shape's algorithms, planted by TLORA_EMULATED_TIMES for shapes that begin with a text, such as "matmul=3,2,-;own attention=1": milliseconds
// of the emulated clock, - for one that fails. Without any there is one algorithm, and it is not tried. Defined in libraries.cpp.
std::vector<double> plantedMs(const std::string& shape);

struct EmulatedCall {
  std::string shape;
  std::function<void()> work;
  std::function<std::function<void()>()> tried;  // makes the same work with results that nothing reads, where they must be others; nullptr: none
  std::function<void()> own;  // our own kernels for it, with the planted times of "own " and the shape
};

// As a library does: chooses an algorithm at the first use of a shape, and queues the work. false: our own kernels are faster, nothing is queued.
bool runEmulated(const Context& context, const EmulatedCall& call);

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
