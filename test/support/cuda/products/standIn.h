// A stand-in for cuBLASLt, on the host: the functions that native/cuda/matmul.cpp calls, as its documentation says what they do with
// column-major matrices. It refuses sizes of attributes, types and shapes that are not documented.
#pragma once
#include <cstdint>

namespace tlora::products {

constexpr uint64_t kFirstAlgorithm = 0xa1;

struct Settings {
  bool refuseBias = false;  // has no algorithm with a bias in its epilogue
};
extern Settings settings;

// The last question for algorithms, and how many there were.
struct Seen {
  int asked = 0;
  uint32_t scheme = 0, alignments[4] = {};
};
extern Seen seen;

}  // namespace tlora::products
