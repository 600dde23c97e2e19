// Convolution of x [n, h, w, c] with weight [o, kh, kw, c], channels last, by cuDNN; sums in float32.
//   y = x * weight + b      dx, dw by the gradients of the same convolution, dw float32      db = sum of dy over pixels, float32
// FLOPs: 2 n oh ow o kh kw c for each of y, dx and dw.
#include "cuda/convert.h"
#include "cuda/convolution.h"
#include "cuda/operands.h"

namespace tlora::cuda {
void conv2d(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &y = call.out[0];
  Operands operands(context, x.dtype);
  const void* weight = operands.matrix(w);
  convolutionForward(context, {conv2dShape(call), y.dtype}, x.data, weight, {operands.vector(call.in[2])}, y.data);
}

void conv2dVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &dy = call.in[2];
  const Tensor &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  const Convolution shape{conv2dVjpShape(call), dy.dtype};
  if (dx.present()) {
    Operands operands(context, dy.dtype);
    convolutionDataGradient(context, shape, dy.data, operands.matrix(w), dx.data);
  }
  if (dw.present()) convolutionWeightGradient(context, shape, x.data, dy.data, dw.f32());
  if (db.present()) columnSums(context, dy.data, dy.dtype, dy.rows(), dy.last(), db.f32());
}

}  // namespace tlora::cuda
