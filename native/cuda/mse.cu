// loss [1] = mean of (prediction - target)^2, perSample [n] the same for each sample; dprediction = dloss 2 (prediction - target) / N,
// which may lie over prediction or target.
#include "cuda/meanOf.h"
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct Square {
  __device__ float operator()(float p, float t) const { return (p - t) * (p - t); }
};
struct MseVjp : MeanSlope {
  __device__ float operator()(const float (&x)[2], float each) const { return 2 * each * (x[0] - x[1]); }
};

}  // namespace

void mse(const Call& call, Context& context) {
  const Tensor& p = call.in[0];
  meanOf(context, Square{}, p, call.in[1], p.dims[0], call.scratch, call.out[0].f32(), call.out[1].f32());
}

void mseVjp(const Call& call, Context& context) {
  const Tensor& p = call.in[0];
  pointwise(context, MseVjp{{call.in[2].f32(), float(p.size())}}, call.out[0], p, call.in[1]);
}

}  // namespace tlora::cuda
