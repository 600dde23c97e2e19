// Matrix products in float32 for every kernel: C [m, n] (+)= scale * A [m, k] * B [k, n] (+ bias), one packed
// micro-kernel family, chosen for the CPU at run time (simd.h).
//
// An operand is described, not copied: plain rows or columns, a frozen packed weight read in either direction, a plain
// convolution weight, or the patches of a picture. A matrix factory below makes each.
//
// Order of sums: each element of C adds its k products in blocks of at most kBlockK, in order of k inside a block. What A and B
// are decides the order of blocks; k is never shared by threads, and tiles change nothing. So C has the same bits for any
// number of threads.
#pragma once
#include "../core/kernel.h"

namespace tlora {

// The patches of a picture: patch (image, y, x) holds, for each tap (ky, kx) in order, the `channels` values of source
// pixel (y * step - padTop + ky, x * step - padLeft + kx), or zeros outside the picture. Padding may be negative.
struct Patches {
  const float* picture;             // [images, height, width, channels]
  int64_t height, width, channels;  // of the source
  int64_t patchRows, patchColumns;  // patches per image
  int64_t tapRows, tapColumns;
  int64_t padTop, padLeft;
  int64_t step = 1;
};

// Some of the window's taps of a convolution weight [outs, allTaps, width].
struct Taps {
  const int64_t* tap;  // [count]; must outlive the product
  int64_t count, allTaps, outs, width;
};

// A matrix [rows, columns] as gemm reads it. Make one with the functions below.
struct GemmMatrix {
  enum class Kind { rows, columns, weight, weightTransposed, weightTaps, patches };
  Kind kind;
  const float* data = nullptr;
  int64_t stride = 0;
  PackedMatrix packed;  // weight*
  Taps taps{};          // weightTaps
  Patches patches{};    // patches
};

// Element (i, j) is at p[i * stride + j].
GemmMatrix rowsOf(const float* p, int64_t stride);
// Element (i, j) is at p[j * stride + i]: the transpose of a row-major matrix.
GemmMatrix columnsOf(const float* p, int64_t stride);
// B only. Element (i, j) is W(j, i): y = x * W^T. The weight is the tensor of an op's weight input, packed or plain f32.
GemmMatrix weightTransposed(const Tensor& w);
// B only. Element (i, j) is W(i, j): dx = dy * W.
GemmMatrix weightOf(const Tensor& w);
// B only. Element ((t, out), channel) is w[out, taps.tap[t], channel]: the data gradient of a convolution.
GemmMatrix weightTaps(const Tensor& w, const Taps& taps);
// As A: row = patch, column = (tap, channel). As B: the same matrix (k = patch), for weight gradients.
GemmMatrix patchesOf(const Patches& patches);

// C = [accumulate] * C + scale * columnScale[j] * (A B)[i, j] + bias[j]
struct GemmOptions {
  bool accumulate = false;
  float scale = 1;
  const float* columnScale = nullptr;  // [n]
  const float* bias = nullptr;         // [n]
};

// C is row-major with `stride` floats between rows. Uses all threads of the pool and their workspaces.
void gemm(Context& context, int64_t m, int64_t n, int64_t k, const GemmMatrix& a, const GemmMatrix& b, float* c,
          int64_t stride, const GemmOptions& options = {});

// The same on the calling thread alone, for kernels that share out work themselves (attention: one head, one block of
// rows). `workspace` is kGemmWorkspaceBytes, 64-byte aligned; a kernel may use the first bytes of its thread's workspace
// and keep its own blocks in the rest.
constexpr size_t kGemmWorkspaceBytes = size_t{1} << 20;
void gemmTile(void* workspace, int64_t m, int64_t n, int64_t k, const GemmMatrix& a, const GemmMatrix& b, float* c,
              int64_t stride, const GemmOptions& options = {});

constexpr int64_t kBlockK = 640;

}  // namespace tlora
