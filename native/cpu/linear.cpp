// y [rows, out] = x [rows, in] * w^T + b, with w [out, in] frozen and packed, or plain float32. Sums in float32.
//   dx = dy * w      dw = dy^T * x      db = sum of dy over rows
#include "core/kernel.h"
#include "cpu/columnSums.h"
#include "cpu/gemm.h"

namespace tlora::cpu {

void linear(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0];
  const GemmOptions options{.bias = b.f32()};
  gemm(context, x.rows(), y.last(), x.last(), rowsOf(x.f32(), x.last()), weightTransposed(w), y.f32(), y.last(), options);
}

void linearVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &dy = call.in[2];
  const Tensor &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  const int64_t rows = dy.rows(), out = w.dims[0], in = w.dims[1];
  if (dx.present()) gemm(context, rows, in, out, rowsOf(dy.f32(), out), weightOf(w), dx.f32(), in);
  if (dw.present()) gemm(context, out, in, rows, columnsOf(dy.f32(), out), rowsOf(x.f32(), in), dw.f32(), in);
  if (db.present()) columnSums(context, dy.f32(), rows, out, db.f32());
}

}  // namespace tlora::cpu
