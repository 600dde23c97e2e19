// y = x * weight + b + residual, the convolution of conv2d.cu with another sum in its epilogue: in float32, rounded once.
// FLOPs: conv2d's. Traffic: each tensor once, as far as tiles stay in L2.
#include "cuda/convolution.h"
#include "cuda/operands.h"

namespace tlora::cuda {

// in: x, w, b, residual; out: y.
void conv2dResidual(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  Operands operands(context, x.dtype);
  const void* weight = operands.matrix(call.in[1]);
  const Added added{operands.vector(call.in[2]), call.in[3].data};
  convolutionForward(context, {conv2dShape(call), y.dtype}, x.data, weight, added, y.data);
}

}  // namespace tlora::cuda
