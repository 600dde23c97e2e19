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
  const GemmMatrix& b;  // [9 * channels, outs], element ((tap, channel), out), as the product over patches takes it; of
                        // kind weightTransposed, columns or weightTaps, the latter with taps at equal distances
  const float* bias;    // [outs] or nullptr
  float* y;
};

// Whether this is faster than the product over patches (measured; docs/performance.md): with fewer than 16 channels the
// transforms of the outputs cost more than the products, below 9 tiles those of the weights do, and in pictures with many
// odd sides (fewer than 3 pixels a tile) too much is computed for nothing. The number of outputs does not matter.
// TLORA_WINOGRAD=0 says never, TLORA_WINOGRAD=1 always; it is read once per process.
bool winogradPays(int64_t images, int64_t height, int64_t width, int64_t channels);

// Uses all threads of the pool and their workspaces. The same bits for any number of threads.
void winograd(Context& context, const WinogradConv& conv);

}  // namespace tlora
