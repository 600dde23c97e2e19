// Operation graphs of cuDNN for attention. Sizes are in the order n, heads, tokens, d; that heads lie within the channels, and q, k and v
// perhaps within one tensor, is said by the strides. Pointers are named by the Uid of their tensor.
#pragma once
#include "dnnPlan.h"
#include "fusedAttention.h"

namespace tlora::cuda {

enum AttentionUid : int64_t { kQ = 1, kK, kV, kO, kStats, kScale, kDO, kDQ, kDK, kDV, kOne, kDelta };

// One operation, cuDNN 9.13.1 and newer.
constexpr size_t kForwardSince = 91301;
DnnGraph attentionForwardGraph(const FusedAttention& shape);

// The pattern of operations that cuDNN's flash attention engines know as its gradient. It ends with dq = dS k written once, for which the
// engines keep dS in their workspace (attentionGradientBytes): the other ending, float32 sums that blocks add to, has no fixed order.
// (The single operation for the gradient, CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR of cuDNN 9.17, has engines for compute capability
// 10 alone.) `heads` of shape.heads are done, of shape.n samples. kOne is the number 1, kDelta memory for [n, heads, tq] float32.
DnnGraph attentionGradientGraph(const FusedAttention& shape, int64_t heads);

// Whether it is right where engines take it: not for a single token; and with cuDNN before 9.15.1 the last keys must fill a tile of 128, or a CUDA
// graph's replay reads what is not there (release notes of cuDNN's frontend 1.16, which adds a mask there).
bool attentionGradientWorks(const FusedAttention& shape, size_t version);

// Workspace that engines take for it: dS in 16 bits, tokens rounded up to their tiles.
int64_t attentionGradientBytes(const FusedAttention& shape, int64_t heads);

}  // namespace tlora::cuda
