// kl [1] = mean of (mu^2 + e^lv - 1 - lv) / 2 over N elements, in float64, blocks in order. Gradient: dmu = dkl mu / N,
// dlv = dkl (e^lv - 1) / (2 N), float32. One pass over a few values a sample: e^x from the C library.
#include <cmath>

#include "cpu/blocks.h"

namespace tlora::cpu {

void klDivergence(const Call& call, Context& context) {
  const int64_t n = call.in[0].size(), blocks = blocksOf(n);
  const float *mean = call.in[0].f32(), *logvar = call.in[1].f32();
  double* partial = static_cast<double*>(call.scratch);
  eachBlock(context, n, [&](int64_t begin, int64_t count) {
    double sum = 0;
    for (int64_t i = begin; i < begin + count; i++) {
      const double mu = mean[i], lv = logvar[i];
      sum += 0.5 * (mu * mu + std::expm1(lv) - lv);
    }
    partial[begin / kBlock] = sum;
  });
  double total = 0;
  for (int64_t k = 0; k < blocks; k++) total += partial[k];
  call.out[0].f32()[0] = static_cast<float>(total / static_cast<double>(n));
}

void klDivergenceVjp(const Call& call, Context& context) {
  const int64_t n = call.in[0].size();
  const float *mean = call.in[0].f32(), *logvar = call.in[1].f32();
  const float each = static_cast<float>(call.in[2].f32()[0] / static_cast<double>(n));
  float *dmean = call.out[0].f32(), *dlogvar = call.out[1].f32();
  eachBlock(context, n, [&](int64_t begin, int64_t count) {
    for (int64_t i = begin; i < begin + count; i++) {
      if (dmean) dmean[i] = each * mean[i];
      if (dlogvar) dlogvar[i] = 0.5f * each * std::expm1(logvar[i]);
    }
  });
}

}  // namespace tlora::cpu
