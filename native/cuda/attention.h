// What the ops attention, selfAttention and crossAttention have in common: cuDNN's fused attention, and our own kernels for what it does not cover.
#pragma once
#include "fusedAttention.h"

namespace tlora::cuda {

// As fusedAttention, for every type and shape. Without tensor cores where rows of a head do not begin on 16 bytes.
void runAttention(Context& context, const FusedAttention& shape, const void* q, const void* k, const void* v, void* o, float* lse);

// Gradients that are nullptr are not computed. `delta`: room for [n, heads, tq] float32.
void runAttentionVjp(Context& context, const FusedAttention& shape, const FusedAttentionGradient& tensors, float* delta);

}  // namespace tlora::cuda
