// The products of a linear layer that others add to: what linear and linearResidual share.
#pragma once
#include "matmul.h"
#include "operands.h"

namespace tlora::cuda {

// y [rows, out] = x [rows, in] wᵀ + b.
inline Matmul linearProduct(Operands& operands, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y) {
  Matmul p{.a = x.data, .b = operands.matrix(w), .c = y.data, .bias = operands.vector(b)};
  p.aType = p.bType = p.cType = x.dtype;
  p.m = x.rows(), p.n = y.last(), p.k = x.last();
  p.lda = p.ldb = p.k, p.ldc = p.n, p.transposeB = true;
  return p;
}

// dx [rows, in] = dy [rows, out] w.
inline Matmul linearGradient(Operands& operands, const Tensor& w, const Tensor& dy, const Tensor& dx) {
  Matmul p{.a = dy.data, .b = operands.matrix(w), .c = dx.data, .aType = dy.dtype, .bType = dy.dtype, .cType = dx.dtype};
  p.m = dy.rows(), p.n = dx.last(), p.k = dy.last();
  p.lda = p.k, p.ldb = p.ldc = p.n;
  return p;
}

}  // namespace tlora::cuda
