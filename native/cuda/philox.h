// Philox4x32-10 on the device: the integers and their layout are those of core/philox.h and lib/random.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace tlora::cuda {

struct Philox {
  uint32_t seed[2], stream[2];
  // `words`: seed low, seed high, stream low, stream high.
  __device__ explicit Philox(const int32_t* words)
      : seed{uint32_t(words[0]), uint32_t(words[1])}, stream{uint32_t(words[2]), uint32_t(words[3])} {}

  struct Words {
    uint32_t at[4];
  };
  __device__ Words block(uint64_t number) const {
    uint32_t c0 = uint32_t(number), c1 = uint32_t(number >> 32), c2 = stream[0], c3 = stream[1];
    uint32_t k0 = seed[0], k1 = seed[1];
    for (int round = 0; round < 10; round++) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
      c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
      c1 = uint32_t(p1);
      c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
      c3 = uint32_t(p0);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return {{c0, c1, c2, c3}};
  }

  // In (0, 1), never 0: (word + 1/2) * 2^-32.
  __device__ static double uniform(uint32_t word) { return (word + 0.5) * 0x1p-32; }

  // Box-Muller: two independent standard normals from two words.
  struct Normals {
    double first, second;
  };
  __device__ static Normals normals(uint32_t a, uint32_t b) {
    const double radius = sqrt(-2 * log(uniform(a))), angle = 2 * 3.141592653589793 * uniform(b);
    return {radius * cos(angle), radius * sin(angle)};
  }
};

}  // namespace tlora::cuda
