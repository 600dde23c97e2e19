// The three curves called GELU and their slopes, on vectors. For x below about -5.5 the exact curve is 0 to float32.
#pragma once
#include "cpu/simd.h"

namespace tlora {

// x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2; slope Phi(x) + x phi(x), phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
struct GeluErf {
  template <class V> TLORA_INLINE static V value(V x) { return 0.5f * x * (1.0f + erf(x * 0.70710678118654752f)); }
  template <class V> TLORA_INLINE static V slope(V x) {
    return 0.5f * (1.0f + erf(x * 0.70710678118654752f)) + x * exp(-0.5f * (x * x)) * 0.39894228040143268f;
  }
};

// x sigmoid(1.702 x), as CLIP has it.
struct GeluQuick {
  template <class V> TLORA_INLINE static V value(V x) { return x * sigmoid(1.702f * x); }
  template <class V> TLORA_INLINE static V slope(V x) {
    V s = sigmoid(1.702f * x);
    return s * (1.0f + 1.702f * x * (1.0f - s));
  }
};

// x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  template <class V> TLORA_INLINE static V curve(V x) { return tanh(0.79788456080286536f * (x + 0.044715f * (x * x * x))); }
  template <class V> TLORA_INLINE static V value(V x) { return 0.5f * x * (1.0f + curve(x)); }
  template <class V> TLORA_INLINE static V slope(V x) {
    V t = curve(x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * (0.79788456080286536f * (1.0f + 0.134145f * (x * x)));
  }
};

}  // namespace tlora
