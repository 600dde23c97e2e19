// Tiles of attention on tensor cores (mma m16n8k16): bf16 and f16, head widths that are multiples of 8 up to `Width`. 4 warps, each 16 of
// the 64 rows against all columns of a tile. Scores stay in registers: a warp's tile of results is the left operand of its next
// product. Columns are copied to shared memory asynchronously, one tile ahead. Rows of tiles are 16 bytes longer than the width, so that
// the eight rows of a matrix lie in different banks.
#pragma once
#include <cuda_runtime.h>

#include "cuda/attentionTiles.h"
#include "cuda/tensorCore.h"

namespace tlora::cuda {

template <class T, int Width>
class TensorTiles {
 public:
  using Element = T;
  using Value = T;
  static constexpr int kThreads = 128, kBlocks = 2, kRows = 64, kColumns = Width <= 64 ? 64 : 32, kOut = Width;
  // Of a thread: rows g and g + 8 of its warp's 16; columns 8 m + 2 t and the next (g = lane / 4, t = lane % 4).
  static constexpr int kR = 2, kC = kColumns / 4, kA = Width / 4, kRowLanes = 4;
  static constexpr size_t sharedBytes(int rowOperands) { return sizeof(T) * kPitch * (rowOperands * kRows + 4 * kColumns); }

  __device__ TensorTiles(SharedArray<T> room, const TileSource<T>& source, int rowOperands)
      : source_(source), rows_(room), columns_(room + rowOperands * kRows * kPitch), rowOperands_(rowOperands),
        steps_((source.d + 15) / 16), lane_(int(threadIdx.x) % 32), warp_(int(threadIdx.x) / 32) {}

  __device__ int row(int i) const { return warp_ * 16 + lane_ / 4 + 8 * i; }
  __device__ int column(int j) const { return j / 2 * 8 + lane_ % 4 * 2 + j % 2; }

  __device__ void begin(int64_t first) {
    for (int i = 0; i < 2; i++)
      if (i < rowOperands_) copyTile(rows_ + i * kRows * kPitch, source_.rows[i], 0, source_.rowCount, kRows);
    copyColumns(first);
    commitCopies();
  }
  // Makes the tile that was copied ahead readable, and copies the one at `next`, if there is any.
  __device__ void arrive(int64_t, int64_t next) {
    stage_ = 1 - stage_;
    if (next < source_.columnCount) {
      copyColumns(next);
      commitCopies();
      waitCopies<1>();
    } else {
      waitCopies<0>();
    }
    __syncthreads();
  }
  __device__ void leave() { __syncthreads(); }

  template <int which>
  __device__ void scores(float (&s)[kR][kC]) {
    for (int i = 0; i < kR; i++)
      for (int j = 0; j < kC; j++) s[i][j] = 0;
    const int left = (which * kRows + warp_ * 16 + lane_ % 16) * kPitch + lane_ / 16 * 8;
    const int right = (tileAt(which) + lane_ / 16 * 8 + lane_ % 8) * kPitch + lane_ / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < Width / 16; k++) {
      if (k >= steps_) break;
      uint32_t a[4], b[4];
      loadMatrices(a, rows_, left + k * 16);
#pragma unroll
      for (int m = 0; m < kColumns / 16; m++) {
        loadMatrices(b, columns_, right + m * 16 * kPitch + k * 16);
        mma<T>(s[0][4 * m], s[0][4 * m + 1], s[1][4 * m], s[1][4 * m + 1], a, b[0], b[1]);
        mma<T>(s[0][4 * m + 2], s[0][4 * m + 3], s[1][4 * m + 2], s[1][4 * m + 3], a, b[2], b[3]);
      }
    }
  }

  template <int which>
  __device__ void accumulate(float (&acc)[kR][kA], const float (&s)[kR][kC]) {
    const int right = (tileAt(which) + lane_ % 16) * kPitch + lane_ / 16 * 8;
#pragma unroll
    for (int k = 0; k < kColumns / 16; k++) {
      const uint32_t a[4] = {packPair<T>(s[0][4 * k], s[0][4 * k + 1]), packPair<T>(s[1][4 * k], s[1][4 * k + 1]),
                             packPair<T>(s[0][4 * k + 2], s[0][4 * k + 3]), packPair<T>(s[1][4 * k + 2], s[1][4 * k + 3])};
#pragma unroll
      for (int m = 0; m < Width / 16; m++) {
        if (m >= steps_) break;
        uint32_t b[4];
        loadMatricesTransposed(b, columns_, right + k * 16 * kPitch + m * 16);
        mma<T>(acc[0][4 * m], acc[0][4 * m + 1], acc[1][4 * m], acc[1][4 * m + 1], a, b[0], b[1]);
        mma<T>(acc[0][4 * m + 2], acc[0][4 * m + 3], acc[1][4 * m + 2], acc[1][4 * m + 3], a, b[2], b[3]);
      }
    }
  }

  __device__ void store(T* to, const float (&acc)[kA], float factor) const {
#pragma unroll
    for (int a = 0; a < kA; a += 2) {
      if (column(a) >= source_.d) break;
      *reinterpret_cast<uint32_t*>(to + column(a)) = packPair<T>(acc[a] * factor, acc[a + 1] * factor);
    }
  }

 private:
  static constexpr int kPitch = Width + 8;

  // The row of the shared columns where operand `which` of the present tile begins.
  __device__ int tileAt(int which) const { return (stage_ * 2 + which) * kColumns; }

  __device__ void copyColumns(int64_t first) {
    for (int i = 0; i < 2; i++)
      copyTile(columns_ + ((1 - stage_) * 2 + i) * kColumns * kPitch, source_.columns[i], first, source_.columnCount, kColumns);
  }
  // tile [count, 16 steps] = rows first ... of `from`; zeros past the last row and the head's width.
  __device__ void copyTile(SharedArray<T> tile, const HeadRows<const T>& from, int64_t first, int64_t rowCount, int count) const {
    const int chunks = steps_ * 2;
    for (int i = int(threadIdx.x); i < count * chunks; i += kThreads) {
      const int r = i / chunks, e = i % chunks * 8;
      const bool valid = first + r < rowCount && e < source_.d;
      copyAsync(tile, r * kPitch + e, valid ? from.at(first + r) + e : from.data, valid);
    }
  }

  TileSource<T> source_;
  SharedArray<T> rows_, columns_;
  int rowOperands_, steps_, lane_, warp_, stage_ = 1;
};

}  // namespace tlora::cuda
