// y [rows, out] = x [rows, in] wᵀ + b + residual, with w [out, in], as one product with both sums in its epilogue: in float32, rounded once.
//   dx = dy w + through, likewise
// FLOPs: 2 rows in out. Traffic: each matrix and what is added once, if their tiles stay in L2.
#include "cuda/matmul.h"
#include "cuda/operands.h"

namespace tlora::cuda {

namespace {

// The product, and what is added to it, which lies where it is written or elsewhere.
void addTo(Context& context, Matmul& p, const void* added) {
  if (added == p.c) p.beta = 1;
  else p.residual = added;
  matmul(context, p);
}

}  // namespace

// in: x, w, b, residual; out: y, which may lie over residual.
void linearResidual(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  Operands operands(context, x.dtype);
  Matmul p{.a = x.data, .b = operands.matrix(call.in[1]), .c = y.data, .bias = operands.vector(call.in[2])};
  p.aType = p.bType = p.cType = x.dtype;
  p.m = x.rows(), p.n = y.last(), p.k = x.last();
  p.lda = p.ldb = p.k, p.ldc = p.n, p.transposeB = true;
  addTo(context, p, call.in[3].data);
}

// in: w, dy, through; out: dx, which may lie over through.
void linearResidualVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[1], &dx = call.out[0];
  Operands operands(context, dy.dtype);
  Matmul p{.a = dy.data, .b = operands.matrix(call.in[0]), .c = dx.data, .aType = dy.dtype, .bType = dy.dtype, .cType = dx.dtype};
  p.m = dy.rows(), p.n = dx.last(), p.k = dy.last();
  p.lda = p.k, p.ldb = p.ldc = p.n;
  addTo(context, p, call.in[2].data);
}

}  // namespace tlora::cuda
