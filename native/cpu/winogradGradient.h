// Weight gradients of 3x3 convolutions of stride 1 and padding 1 with 16 products for four outputs instead of 36: the
// transpose of winograd.h's F(2x2, 3x3). In float32.
#pragma once
#include "../core/kernel.h"

namespace tlora {

// dw [outs, 3, 3, channels] = sum over pixels of dy [images, height, width, outs] times the 3x3 window of
// x [images, height, width, channels], padded by one zero.
struct WinogradGradient {
  const float* x;
  const float* dy;
  int64_t images, height, width, channels, outs;
  float* dw;
};

// Floats of scratch memory it needs; 0: the product over patches is faster, or its sums would take too much memory.
// lib/ops/conv2d.ts holds the same rule.
int64_t winogradGradientFloats(int64_t images, int64_t height, int64_t width, int64_t channels, int64_t outs);

// Uses all threads of the pool and their workspaces. The same bits for any number of threads.
void winogradGradient(Context& context, const WinogradGradient& gradient, float* scratch);

}  // namespace tlora
