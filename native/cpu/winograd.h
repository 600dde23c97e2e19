// 3x3 convolutions of stride 1 and padding 1 with 16 products for four outputs instead of 36: Winograd's minimal filtering
// F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308). In float32; nothing is kept between calls.
#pragma once
#include "../core/kernel.h"
#include "gemm.h"

namespace tlora {

// y [images, height, width, outs] = 3x3 windows of x [images, height, width, channels], padded by one zero, times B (+ bias).
struct WinogradConv {
  const float* x;
  int64_t images, height, width, channels, outs;
  const GemmMatrix& b;  // [9 * channels, outs], element ((tap, channel), out), as the product over patches takes it
  const float* bias;    // [outs] or nullptr
  float* y;
};

// Whether Winograd is the faster way. TLORA_WINOGRAD=0 says never, TLORA_WINOGRAD=1 always.
bool winogradPays(int64_t images, int64_t height, int64_t width, int64_t channels, int64_t outs);

// Uses all threads of the pool and their workspaces. The same bits for any number of threads.
void winograd(Context& context, const WinogradConv& conv);

}  // namespace tlora
