// One who runs a piece of work on request, in turns with others.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <istream>
#include <memory>

namespace tlora::bench {

// 64-byte aligned floats, uniform in [-1, 1).
struct Floats {
  explicit Floats(int64_t count) : data(static_cast<float*>(std::aligned_alloc(64, (count * 4 + 127) / 64 * 64))) {
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
      state = state * 1664525u + 1013904223u;
      data[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    }
  }
  ~Floats() { std::free(data); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  float* data;
};

using Work = std::function<void()>;

// <transposed a: 0|1> <transposed b: 0|1> <m> <n> <k>: a row-major product by OpenBLAS, opened by its path.
Work openblasProduct(const char* library, int threads, std::istream& words);

// forward|data <n> <h> <w> <channels> <outs> <window> <stride> <padding>: by oneDNN, weights packed beforehand. `about` becomes
// the name of the algorithm that it chose. An empty Work where the program was built without oneDNN.
Work onednnConvolution(std::istream& words, std::string& about);

// Floating-point operations a second of one thread that only multiplies and adds in registers, best of five short runs.
double peakFlops();

}  // namespace tlora::bench
