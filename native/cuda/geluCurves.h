// The three curves called GELU and their slopes, as in native/cpu/geluCurves.h.
#pragma once
#include <cuda_runtime.h>

namespace tlora::cuda {

// x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2; slope Phi(x) + x phi(x), phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
struct GeluErf {
  __device__ static float phi(float x) { return 0.5f * (1 + erff(x * 0.70710678118654752f)); }
  __device__ static float value(float x) { return x * phi(x); }
  __device__ static float slope(float x) { return phi(x) + x * expf(-0.5f * (x * x)) * 0.39894228040143268f; }
};

// x sigmoid(1.702 x), as CLIP has it.
struct GeluQuick {
  __device__ static float value(float x) { return x / (1 + expf(-1.702f * x)); }
  __device__ static float slope(float x) {
    const float s = 1 / (1 + expf(-1.702f * x));
    return s * (1 + 1.702f * x * (1 - s));
  }
};

// x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  __device__ static float curve(float x) { return tanhf(0.79788456080286536f * (x + 0.044715f * (x * x * x))); }
  __device__ static float value(float x) { return 0.5f * x * (1 + curve(x)); }
  __device__ static float slope(float x) {
    const float t = curve(x);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * (0.79788456080286536f * (1 + 0.134145f * (x * x)));
  }
};

}  // namespace tlora::cuda
