// kl [1] = mean of (mu^2 + e^lv - 1 - lv) / 2 over N elements; dmu = dkl mu / N, dlv = dkl (e^lv - 1) / (2 N).
#include "cuda/meanOf.h"
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct Kl {
  __device__ float operator()(float mean, float logvar) const { return 0.5f * (mean * mean + (expm1f(logvar) - logvar)); }
};
struct MeanVjp : MeanSlope {
  __device__ float operator()(const float (&x)[1], float each) const { return each * x[0]; }
};
struct LogvarVjp : MeanSlope {
  __device__ float operator()(const float (&x)[1], float each) const { return 0.5f * each * expm1f(x[0]); }
};

}  // namespace

void klDivergence(const Call& call, Context& context) {
  meanOf(context, Kl{}, call.in[0], call.in[1], 1, call.scratch, call.out[0].f32(), nullptr);
}

void klDivergenceVjp(const Call& call, Context& context) {
  const MeanSlope slope{call.in[2].f32(), float(call.in[0].size())};
  if (call.out[0].data) pointwise(context, MeanVjp{slope}, call.out[0], call.in[0]);
  if (call.out[1].data) pointwise(context, LogvarVjp{slope}, call.out[1], call.in[1]);
}

}  // namespace tlora::cuda
