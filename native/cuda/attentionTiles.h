// What the kernels of attention.cu have in common, whatever multiplies: tiles of rows (kept by the block) against tiles of columns
// (walked over), for one head of one sample. A `Tiles` type multiplies; each thread has some elements of a tile of scores.
//   scores<i>(s):        s [rows, columns] = rows_i · columns_i^T, over the head's width d
//   accumulate<i>(a, s): a [rows, kOut] += s · columns_i[:, first output column ...]
// In the forward pass rows are queries and columns keys (0) and values (1).
#pragma once
#include <cuda_runtime.h>

#include "cuda/shared.h"
#include "cuda/types.h"

namespace tlora::cuda {

struct Heads {
  int64_t n, tq, tk, heads, d;
  // Elements from a token to the next: of q and dq; of k, v, dk and dv; of o and dO.
  int64_t queryRow, keyRow, outRow;
  float scale;  // 1 / sqrt(d)
  float slope;  // that of a score in gradients: 0 where there is one key, whose probability is 1 whatever it is
  bool causal;
};

// One head's part of tokens: that of token r begins at data + r * stride.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  __device__ T* at(int64_t r) const { return data + r * stride; }
};

// A block's rows and all columns of its head. `rowCount` and `columnCount` are what there is; reading past them gives zeros.
template <class T>
struct TileSource {
  HeadRows<const T> rows[2], columns[2];
  int64_t rowCount, columnCount;
  int d, firstOut;  // the head's width; the first output column of this block
};

// float32 sums on the plain cores, for every type and head width. [64, 64] scores by 256 threads, 4 x 4 each. The width is walked
// through in steps of 32; outputs are `Out` columns of the head a block, so that wider heads compute their scores more than once.
template <class T, int Out>
class PlainTiles {
 public:
  using Element = float;
  using Value = T;
  static constexpr int kThreads = 256, kBlocks = 1, kRows = 64, kColumns = 64, kOut = Out;
  static constexpr int kR = 4, kC = 4, kA = Out / 16, kRowLanes = 16;
  static constexpr size_t sharedBytes(int) { return sizeof(float) * 64 * (2 * kPitch + kScorePitch); }

  __device__ PlainTiles(SharedArray<float> room, const TileSource<T>& source, int)
      : source_(source), room_(room), scores_(room + 64 * 2 * kPitch), ty_(int(threadIdx.x) / 16), tx_(int(threadIdx.x) % 16) {}

  // Rows 4 ty + i; columns tx + 16 j, so that the threads of a row read different banks; outputs in fours of neighbours.
  __device__ int row(int i) const { return ty_ * 4 + i; }
  __device__ int column(int j) const { return tx_ + 16 * j; }
  __device__ int out(int a) const { return source_.firstOut + a / 4 * 64 + tx_ * 4 + a % 4; }

  __device__ void begin(int64_t) {}
  __device__ void arrive(int64_t first, int64_t) { first_ = first; }
  __device__ void leave() {}

  template <int which>
  __device__ void scores(float (&s)[kR][kC]) {
    for (int i = 0; i < kR; i++)
      for (int j = 0; j < kC; j++) s[i][j] = 0;
    const SharedArray<float> left = room_, right = room_ + 64 * kPitch;
    const bool idle = row(0) >= source_.rowCount || first_ + column(0) >= source_.columnCount;
    for (int k = 0; k < source_.d; k += kStep) {
      __syncthreads();
      loadStep(left, source_.rows[which], 0, source_.rowCount, k);
      loadStep(right, source_.columns[which], first_, source_.columnCount, k);
      __syncthreads();
      if (idle) continue;
#pragma unroll
      for (int e = 0; e < kStep; e += 4) {
        float a[kR][4], b[kC][4];
        for (int i = 0; i < kR; i++)
          for (int f = 0; f < 4; f++) a[i][f] = left[row(i) * kPitch + e + f];
        for (int j = 0; j < kC; j++)
          for (int f = 0; f < 4; f++) b[j][f] = right[column(j) * kPitch + e + f];
        for (int f = 0; f < 4; f++)
          for (int i = 0; i < kR; i++)
            for (int j = 0; j < kC; j++) s[i][j] += a[i][f] * b[j][f];
      }
    }
  }

  template <int which>
  __device__ void accumulate(float (&acc)[kR][kA], const float (&s)[kR][kC]) {
#pragma unroll
    for (int part = 0; part < Out / 64; part++) {
      if (source_.firstOut + part * 64 >= source_.d) break;
      __syncthreads();
      if (part == 0) {
        for (int i = 0; i < kR; i++)
          for (int j = 0; j < kC; j++) scores_[row(i) * kScorePitch + column(j)] = s[i][j];
      }
      loadValues(source_.columns[which], source_.firstOut + part * 64);
      __syncthreads();
      if (row(0) >= source_.rowCount) continue;
      const int end = int(source_.columnCount - first_ < kColumns ? source_.columnCount - first_ : kColumns);
#pragma unroll 4
      for (int k = 0; k < end; k += 4) {
        float p[kR][4];
        for (int i = 0; i < kR; i++)
          for (int f = 0; f < 4; f++) p[i][f] = scores_[row(i) * kScorePitch + k + f];
        for (int f = 0; f < 4; f++) {
          float v[4];
          for (int e = 0; e < 4; e++) v[e] = room_[(k + f) * 64 + tx_ * 4 + e];
          for (int i = 0; i < kR; i++)
            for (int e = 0; e < 4; e++) acc[i][part * 4 + e] += p[i][f] * v[e];
        }
      }
    }
  }

  // One row of outputs, times `factor`; `to` is the row's first element of this head.
  __device__ void store(T* to, const float (&acc)[kA], float factor) const {
    for (int a = 0; a < kA; a++)
      if (out(a) < source_.d) to[out(a)] = fromFloat<T>(acc[a] * factor);
  }

 private:
  static constexpr int kStep = 32, kPitch = kStep + 4, kScorePitch = 68;

  // tile [64, kStep] = rows first ... of `from`, columns k ...
  __device__ void loadStep(SharedArray<float> tile, const HeadRows<const T>& from, int64_t first, int64_t count, int k) const {
    const int column = int(threadIdx.x) % kStep;
    for (int r = int(threadIdx.x) / kStep; r < 64; r += kThreads / kStep) {
      const bool valid = first + r < count && k + column < source_.d;
      tile[r * kPitch + column] = valid ? toFloat(from.at(first + r)[k + column]) : 0.0f;
    }
  }
  // The room [64, 64] = columns of this tile, their channels out ...
  __device__ void loadValues(const HeadRows<const T>& from, int out) const {
    const int column = int(threadIdx.x) % 64;
    for (int r = int(threadIdx.x) / 64; r < kColumns; r += kThreads / 64) {
      const bool valid = first_ + r < source_.columnCount && out + column < source_.d;
      room_[r * 64 + column] = valid ? toFloat(from.at(first_ + r)[out + column]) : 0.0f;
    }
  }

  TileSource<T> source_;
  SharedArray<float> room_, scores_;
  int ty_, tx_;
  int64_t first_ = 0;
};

}  // namespace tlora::cuda
