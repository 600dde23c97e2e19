// The singular value decomposition of a bidiagonal matrix, with the rotations that make it kept for later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tlora::cpu {

// One sweep of plane rotations on the planes (low, low + 1) ... (high - 1, high).
struct Sweep {
  int64_t low, high;
  size_t start;  // of its first rotation
};

struct Rotation {
  double rightC, rightS, leftC, leftS;
};

// With R = [c s; -s c] on its plane, in the order of the sweeps: B = (product of left R^T) diag(values) (product of right R).
struct BidiagonalSvd {
  std::vector<Sweep> sweeps;
  std::vector<Rotation> rotations;
  std::vector<double> values;  // signed, in no order
};

// diagonal [n], super [n - 1]. Throws Error when it does not converge, which finite input does not do.
BidiagonalSvd bidiagonalSvd(const double* diagonal, const double* super, int64_t n);

}  // namespace tlora::cpu
