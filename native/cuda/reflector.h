// Householder reflectors in float64.
#pragma once
#include <cuda_runtime.h>

namespace tlora::cuda {

// H = I - tau v vᵀ with v = x - beta e1, beta = -sign(x1) |x|, tau = 1 / (|x|² - x1 beta), so that H x = beta e1. head = v1; the other
// entries of v are those of x. H = I for x = 0.
struct Reflector {
  double beta, head, tau;
  __device__ Reflector(double first, double squares) : beta(0), head(0), tau(0) {
    if (squares == 0) return;
    const double norm = sqrt(squares);
    beta = first > 0 ? -norm : norm;
    head = first - beta;
    tau = 1 / (squares - first * beta);
  }
};

}  // namespace tlora::cuda
