// y = factor x. y may lie over x.
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct Scale : Plain {
  float factor;
  explicit Scale(float factor) : factor(factor) {}
  __device__ float operator()(const float (&x)[1], float) const { return factor * x[0]; }
};

}  // namespace

void scale(const Call& call, Context& context) { pointwise(context, Scale(float(call.attr[0])), call.out[0], call.in[0]); }

}  // namespace tlora::cuda
