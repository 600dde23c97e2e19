// One AdamW step in place, in the order of torch.optim.AdamW (single tensor): p *= 1 - lr wd; m += (g - m)(1 - beta1);
// v = v beta2 + (1 - beta2) g g; p -= (lr / bc1) m / (sqrt(v) / sqrt(bc2) + eps). float32 buffers; scalars in float64, then
// rounded once. Skipped as a whole when the loss or the norm is not finite. hyper: lr, beta1, beta2, eps, weight decay,
// bc1 = 1 - beta1^t, bc2 = 1 - beta2^t, maxNorm (0: no clipping). With `applied` t is that.
#include <cmath>

#include "cpu/blocks.h"
#include "cpu/simd.h"

namespace tlora::cpu {

namespace {

struct Step {
  float clip, decay, oneMinusBeta1, beta2, oneMinusBeta2, rootBc2, eps, stepSize;
};

// Square roots of v >= 0, error at most 1 ulp (vector types have no such operator): 1 / sqrt(v) from its bits and two steps
// of Newton, then one of Heron. Tiny values are scaled up first; 0 and infinity stay.
template <class V> TLORA_INLINE V squareRoots(V v) {
  using Bits = VecI<lanesOf<V>>;
  V up = v < 0x1p-64f ? v * 0x1p64f : v;
  V y = reinterpret_cast<V>(0x5f3759df - (reinterpret_cast<Bits>(up) >> 1));
  V half = up * 0.5f;
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  V root = up * y;
  root = 0.5f * (root + up / root);
  root = v < 0x1p-64f ? root * 0x1p-32f : root;
  return v > 0 && v < __builtin_inff() ? root : v;
}

struct AdamwBlock {
  template <int W>
  TLORA_INLINE static void run(float* p, const float* g, float* m, float* v, const Step* with, int64_t n) {
    const Step s = *with;
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> grad = load<W>(g + i, part) * s.clip;
      Vec<W> mean = load<W>(m + i, part), square = load<W>(v + i, part);
      mean = mean + (grad - mean) * s.oneMinusBeta1;
      square = square * s.beta2 + (s.oneMinusBeta2 * grad) * grad;
      Vec<W> denominator = squareRoots(square) / s.rootBc2 + s.eps;
      store(p + i, load<W>(p + i, part) * s.decay - (s.stepSize * mean) / denominator, part);
      store(m + i, mean, part);
      store(v + i, square, part);
    });
  }
};

// A beta at seven decimals: 0.999 as float32 is 0.99900001287, whose distance from 1 is wrong in its fifth digit.
double decimal(float beta) { return std::round(beta * 1e7) / 1e7; }

// applied may be nullptr.
Step stepOf(const float* hyper, float norm, const float* applied) {
  const double lr = hyper[0], beta1 = decimal(hyper[1]), beta2 = decimal(hyper[2]);
  const float bc1 = applied ? static_cast<float>(1 - std::pow(beta1, *applied)) : hyper[5];
  const float bc2 = applied ? static_cast<float>(1 - std::pow(beta2, *applied)) : hyper[6];
  const double clip = hyper[7] > 0 ? std::min(1.0, hyper[7] / (norm + 1e-6)) : 1.0;
  Step s;
  s.clip = static_cast<float>(clip);
  s.decay = static_cast<float>(1.0 - lr * hyper[4]);
  s.oneMinusBeta1 = static_cast<float>(1.0 - beta1);
  s.beta2 = static_cast<float>(beta2);
  s.oneMinusBeta2 = static_cast<float>(1.0 - beta2);
  s.rootBc2 = static_cast<float>(std::sqrt(static_cast<double>(bc2)));
  s.eps = hyper[3];
  s.stepSize = static_cast<float>(lr / bc1);
  return s;
}

}  // namespace

void adamw(const Call& call, Context& context) {
  const float loss = call.in[5].f32()[0], norm = call.in[6].f32()[0];
  if (!std::isfinite(loss) || !std::isfinite(norm)) return;
  const Step step = stepOf(call.in[4].f32(), norm, call.in[7].f32());
  float *p = call.in[0].f32(), *m = call.in[2].f32(), *v = call.in[3].f32();
  const float* g = call.in[1].f32();
  eachBlock(context, call.in[0].size(),
            [&](int64_t i, int64_t n) { simd<AdamwBlock>(p + i, g + i, m + i, v + i, &step, n); });
}

}  // namespace tlora::cpu
