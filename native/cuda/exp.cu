// y = e^x; dx = dy y. Outputs may lie over inputs.
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

struct Exp : Plain {
  __device__ float operator()(const float (&x)[1], float) const { return expf(x[0]); }
};
struct ExpVjp : Plain {
  __device__ float operator()(const float (&x)[2], float) const { return x[0] * x[1]; }
};

}  // namespace

void exp(const Call& call, Context& context) { pointwise(context, Exp{}, call.out[0], call.in[0]); }
void expVjp(const Call& call, Context& context) { pointwise(context, ExpVjp{}, call.out[0], call.in[0], call.in[1]); }

}  // namespace tlora::cuda
