// loss [1] = mean of |prediction - target|; dprediction = dloss sign(prediction - target) / N, 0 where they are equal; it may lie over
// prediction or target.
#include "cuda/meanOf.h"
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct Distance {
  __device__ float operator()(float p, float t) const { return fabsf(p - t); }
};
struct MaeVjp : MeanSlope {
  __device__ float operator()(const float (&x)[2], float each) const {
    return x[0] > x[1] ? each : x[0] < x[1] ? -each : 0;
  }
};

}  // namespace

void mae(const Call& call, Context& context) {
  meanOf(context, Distance{}, call.in[0], call.in[1], 1, call.scratch, call.out[0].f32(), nullptr);
}

void maeVjp(const Call& call, Context& context) {
  const Tensor& p = call.in[0];
  pointwise(context, MaeVjp{{call.in[2].f32(), float(p.size())}}, call.out[0], p, call.in[1]);
}

}  // namespace tlora::cuda
