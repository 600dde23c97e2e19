// y [n, dim]: sin and cos of t 10000^(-i / (half - freqShift)), half = floor(dim / 2), cosines first if flipSinToCos; the
// last column of an odd dim is 0. Exponents, frequencies and angles rounded to float32, sines and cosines in float64. t float32 or
// int32. diffusers: get_timestep_embedding.
#include <cmath>

#include "core/kernel.h"

namespace tlora::cpu {

void timestepFeatures(const Call& call, Context&) {
  const Tensor& t = call.in[0];
  const int64_t dim = call.out[0].last(), half = dim / 2;
  const bool cosinesFirst = call.attr[1] != 0;
  for (int64_t k = 0; k < t.size(); k++) {
    const float time = t.dtype == DType::i32 ? static_cast<float>(t.i32()[k]) : t.f32()[k];
    float* row = call.out[0].f32() + k * dim;
    for (int64_t i = 0; i < half; i++) {
      const float exponent = -9.210340371976184f * static_cast<float>(i) / static_cast<float>(half - call.attr[2]);  // log 10000
      const float angle = time * static_cast<float>(std::exp(static_cast<double>(exponent)));
      row[cosinesFirst ? half + i : i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      row[cosinesFirst ? i : half + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    }
    if (dim % 2 != 0) row[dim - 1] = 0;
  }
}

}  // namespace tlora::cpu
