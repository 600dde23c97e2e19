// y = gelu(x); dx = dy gelu'(x). Attribute kind: 0 erf, 1 quick, 2 tanh. Outputs may lie over inputs.
#include "cuda/geluCurves.h"
#include "cuda/pointwise.h"

namespace tlora::cuda {

namespace {

template <class Curve>
struct Gelu : Plain {
  __device__ float operator()(const float (&x)[1], float) const { return Curve::value(x[0]); }
};
template <class Curve>
struct GeluVjp : Plain {
  __device__ float operator()(const float (&x)[2], float) const { return x[1] * Curve::slope(x[0]); }
};

template <template <class> class F, class... X>
void runKind(double kind, Context& context, const Tensor& y, const X&... x) {
  if (kind == 0) pointwise(context, F<GeluErf>{}, y, x...);
  else if (kind == 1) pointwise(context, F<GeluQuick>{}, y, x...);
  else pointwise(context, F<GeluTanh>{}, y, x...);
}

}  // namespace

void gelu(const Call& call, Context& context) { runKind<Gelu>(call.attr[0], context, call.out[0], call.in[0]); }
void geluVjp(const Call& call, Context& context) {
  runKind<GeluVjp>(call.attr[0], context, call.out[0], call.in[0], call.in[1]);
}

}  // namespace tlora::cuda
