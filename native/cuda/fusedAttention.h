// Attention in one pass over the keys, by the scaled-dot-product operations of cuDNN's graph API.
#pragma once
#include <cstdint>
#include <functional>

#include "core/tensor.h"

namespace tlora::cuda {

struct Context;

// q, o [n, tq, heads · d]; k, v [n, tk, heads · d]: head h has channels h · d up to (h + 1) · d.
struct FusedAttention {
  DType dtype = DType::bf16;  // of q, k, v, o and all gradients
  int64_t n = 0, heads = 0, tq = 0, tk = 0, d = 0;
  bool causal = false;
  // Elements from a token to the next of q and dq, and of k, v, dk and dv: more where these are parts of a wider tensor.
  int64_t queryRow = heads * d, keyRow = heads * d;
  // Of o and dO.
  int64_t outRow() const { return heads * d; }
  bool dense() const { return queryRow == outRow() && keyRow == outRow(); }
};

// o = softmax(q · kᵀ / √d) · v, lse [n, heads, tq] (float32) = log of the sum of exp of the scaled scores, natural logarithm.
// false: cuDNN's version, the type, the head width or the shape is not covered, or our own kernels were found faster; nothing was queued, and it
// stays so for this shape. `own` queues them for the same tensors: they are tried against cuDNN at the shape's first use (trials.h).
bool fusedAttention(Context& context, const FusedAttention& shape, const void* q, const void* k, const void* v, void* o, float* lse,
                    const std::function<void()>& own);

struct FusedAttentionGradient {
  const void *q = nullptr, *k = nullptr, *v = nullptr, *o = nullptr;
  const float* lse = nullptr;
  const void* dO = nullptr;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;  // nullptr: not wanted
};

// false: as above, or dS fits its memory for too few heads at once. Deterministic. Gradients that nobody wants go behind the libraries' workspace;
// false where there is no room for them.
bool fusedAttentionVjp(Context& context, const FusedAttention& shape, const FusedAttentionGradient& tensors, const std::function<void()>& own);

}  // namespace tlora::cuda
