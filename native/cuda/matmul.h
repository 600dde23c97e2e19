// Matrix products of dense row-major matrices with float32 sums, by cuBLASLt.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace tlora::cuda {

struct Context;

// c [m, n] = alpha · op(a) · op(b) + beta · c (+ bias over columns) (+ residual), for each of `batch` products.
// a is [m, k], or [k, m] with transposeA; b is [k, n], or [n, k] with transposeB. lda, ldb, ldc: elements from row to row;
// strideA, strideB, strideC: from product to product (0: the same matrix for all).
// Types: a and b alike; c as a, or f32. float32 operands are multiplied in float32, or in TF32 where Context::tf32 says so.
struct Matmul {
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;      // [n], of c's type
  const void* residual = nullptr;  // of c's type and layout; needs beta = 0
  DType aType = DType::f32, bType = DType::f32, cType = DType::f32;
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;
  bool transposeA = false, transposeB = false;
  float alpha = 1, beta = 0;
  int64_t batch = 1, strideA = 0, strideB = 0, strideC = 0;
};

// Queues the product on the context's stream, with the first kLibraryWorkspaceBytes of its workspace (libraries.h). The algorithm of a shape is asked for once and kept; algorithms that add partial sums
// in an order that can change are never taken. Throws Error naming the shape when cuBLASLt has none.
void matmul(Context& context, const Matmul& product);

}  // namespace tlora::cuda
