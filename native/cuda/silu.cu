// y = x s, s = sigmoid(x); dx = dy s (1 + x (1 - s)). Outputs may lie over inputs.
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

struct Silu : Plain {
  __device__ float operator()(const float (&x)[1], float) const { return x[0] * sigmoid(x[0]); }
};
struct SiluVjp : Plain {
  __device__ float operator()(const float (&x)[2], float) const {
    const float s = sigmoid(x[0]);
    return x[1] * s * (1 + x[0] * (1 - s));
  }
};

}  // namespace

void silu(const Call& call, Context& context) { pointwise(context, Silu{}, call.out[0], call.in[0]); }
void siluVjp(const Call& call, Context& context) { pointwise(context, SiluVjp{}, call.out[0], call.in[0], call.in[1]); }

}  // namespace tlora::cuda
