// out = x + y z; dy = grad z, dz = grad y. out may lie over an input.
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct MultiplyAdd : Plain {
  __device__ float operator()(const float (&x)[3], float) const { return fmaf(x[1], x[2], x[0]); }
};
struct Multiply : Plain {
  __device__ float operator()(const float (&x)[2], float) const { return x[0] * x[1]; }
};

}  // namespace

void multiplyAdd(const Call& call, Context& context) {
  pointwise(context, MultiplyAdd{}, call.out[0], call.in[0], call.in[1], call.in[2]);
}

void multiplyAddVjp(const Call& call, Context& context) {
  const Tensor &y = call.in[0], &z = call.in[1], &grad = call.in[2];
  if (call.out[0].data) pointwise(context, Multiply{}, call.out[0], grad, z);
  if (call.out[1].data) pointwise(context, Multiply{}, call.out[1], grad, y);
}

}  // namespace tlora::cuda
