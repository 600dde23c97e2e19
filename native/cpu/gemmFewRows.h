// Products of few rows with a frozen weight read against the grain of its panels (data gradients): the transpose is computed.
#pragma once
#include <atomic>

#include "gemm.h"

namespace tlora {

// C [m, n] = A * B over k, B of kind weight or weightTaps, for the columns [j0, j1) of C and all its rows.
struct FewRows {
  int64_t m, k;
  const GemmMatrix& a;  // rows or patches
  const GemmMatrix& b;
  float* c;
  int64_t stride;
  const std::atomic<bool>& cancelled;
};

// Whether this can do the product and is faster than packing B (measured; docs/performance.md).
bool fewRowsPay(int64_t m, const GemmMatrix& a, const GemmMatrix& b, const GemmOptions& options);

// On the calling thread, in a workspace of kWorkspaceBytes. The same order of sums as gemm's.
void multiplyFewRows(const FewRows& p, int64_t j0, int64_t j1, void* workspace);

}  // namespace tlora
