// y [rows, out] = x [rows, in] wᵀ + b + residual, with w [out, in], as one product with both sums in its epilogue: in float32, rounded once.
//   dx = dy w + through, likewise
// FLOPs: 2 rows in out. Traffic: each matrix and what is added once, if their tiles stay in L2.
#include "cuda/linearProducts.h"

namespace tlora::cuda {

namespace {

// The product, and what is added to it, which lies where it is written or elsewhere.
void addTo(Context& context, Matmul p, const void* added) {
  if (added == p.c) p.beta = 1;
  else p.residual = added;
  matmul(context, p);
}

}  // namespace

// in: x, w, b, residual; out: y, which may lie over residual.
void linearResidual(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  Operands operands(context, x.dtype);
  addTo(context, linearProduct(operands, x, call.in[1], call.in[2], call.out[0]), call.in[3].data);
}

// in: w, dy, through; out: dx, which may lie over through.
void linearResidualVjp(const Call& call, Context& context) {
  const Tensor& dy = call.in[1];
  Operands operands(context, dy.dtype);
  addTo(context, linearGradient(operands, call.in[0], dy, call.out[0]), call.in[2].data);
}

}  // namespace tlora::cuda
