// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random bits from a 128-bit
// counter and a 64-bit key, without state. The integers and their layout are those of lib/random.
#pragma once
#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define TLORA_ANYWHERE __host__ __device__
#else
#define TLORA_ANYWHERE
#endif

namespace tlora {

template <class T>
struct Four {
  T values[4];
  TLORA_ANYWHERE T& operator[](int64_t i) { return values[i]; }
  TLORA_ANYWHERE const T& operator[](int64_t i) const { return values[i]; }
};
using PhiloxBlock = Four<uint32_t>;

// The key of a draw, as ops get it: seed low, seed high, stream low, stream high.
struct PhiloxKey {
  uint32_t seed[2], stream[2];
  TLORA_ANYWHERE explicit PhiloxKey(const int32_t* words)
      : seed{uint32_t(words[0]), uint32_t(words[1])}, stream{uint32_t(words[2]), uint32_t(words[3])} {}
};

TLORA_ANYWHERE inline PhiloxBlock philox(const PhiloxKey& key, uint64_t block) {
  uint32_t c0 = uint32_t(block), c1 = uint32_t(block >> 32), c2 = key.stream[0], c3 = key.stream[1];
  uint32_t k0 = key.seed[0], k1 = key.seed[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {c0, c1, c2, c3};
}

// A uniform in (0, 1), never 0: (word + 1/2) * 2^-32.
TLORA_ANYWHERE inline double uniformOf(uint32_t word) { return (word + 0.5) * 0x1p-32; }

struct NormalPair {
  double first, second;
};

// Box-Muller: two independent standard normals from two words.
TLORA_ANYWHERE inline NormalPair normalPair(uint32_t a, uint32_t b) {
  const double radius = std::sqrt(-2 * std::log(uniformOf(a)));
  const double angle = 2 * 3.141592653589793 * uniformOf(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

// Values 4 b .. 4 b + 3 of a key's stream of standard normals.
TLORA_ANYWHERE inline Four<double> normalsOf(const PhiloxKey& key, uint64_t block) {
  const PhiloxBlock words = philox(key, block);
  const NormalPair a = normalPair(words[0], words[1]), b = normalPair(words[2], words[3]);
  return {a.first, a.second, b.first, b.second};
}

}  // namespace tlora
