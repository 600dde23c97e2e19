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

// Whether it is right where engines take it, by what is reported of Hopper's: one query gives NaN in dk and dv; 64 keys beyond whole tiles of 128
// are masked as if the tile ended with them, so that dq is NaN where lse is below -88.7 (NVIDIA/cudnn-frontend, pull request 628: 9.30 and before);
// tokens that end within a tile read past the keys when a CUDA graph is replayed (before 9.15.1, frontend's release notes 1.16) and
// what was never written to the workspace (before 9.18, NVIDIA/TransformerEngine, issue 2186).
bool attentionGradientWorks(const FusedAttention& shape, size_t version);

// Workspace that engines take for it: dS in 16 bits, tokens rounded up to their tiles.
int64_t attentionGradientBytes(const FusedAttention& shape, int64_t heads);

}  // namespace tlora::cuda
