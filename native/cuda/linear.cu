// y [rows, out] = x [rows, in] wᵀ + b, with w [out, in], as one product with the bias in its epilogue. Sums in float32.
//   dx = dy w      dw = dyᵀ x, float32      db = sum of dy over rows, float32
// FLOPs: 2 rows in out for each product. Traffic: each matrix once, if its tiles stay in L2.
#include "cuda/convert.h"
#include "cuda/libraries.h"
#include "cuda/linearProducts.h"

namespace tlora::cuda {

void linear(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  Operands operands(context, x.dtype);
  matmul(context, linearProduct(operands, x, call.in[1], call.in[2], call.out[0]));
}

void linearVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &dy = call.in[2];
  const Tensor &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  const int64_t rows = dy.rows(), out = w.dims[0], in = w.dims[1];
  if (dx.present()) {
    Operands operands(context, dy.dtype);
    matmul(context, linearGradient(operands, w, dy, dx));
  }
  if (dw.present()) {
    Matmul p{.a = dy.data, .b = x.data, .c = dw.data, .aType = dy.dtype, .bType = x.dtype, .cType = dw.dtype};
    p.m = out, p.n = in, p.k = rows, p.lda = out, p.ldb = in, p.ldc = in, p.transposeA = true;
    matmul(context, p);
  }
  if (db.present()) columnSums(context, dy.data, dy.dtype, rows, out, db.f32());
}

}  // namespace tlora::cuda
