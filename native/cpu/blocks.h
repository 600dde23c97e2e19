// How loops over memory are cut into tasks. Cuts depend on sizes only, never on the number of threads, so that sums made
// block by block are the same bits for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/kernel.h"

namespace tlora::cpu {

constexpr int64_t kBlock = 16384;  // elements of a task: 64 KiB, big enough to hide the hand-out, small enough to balance

inline int64_t blocksOf(int64_t n, int64_t block = kBlock) { return (n + block - 1) / block; }

// body(begin, count) for blocks of [0, n).
template <class Body>
void eachBlock(Context& context, int64_t n, Body body) {
  context.pool.run(blocksOf(n), [&](int64_t task, int) {
    const int64_t begin = task * kBlock;
    body(begin, std::min(kBlock, n - begin));
  });
}

// body(sample, begin, count) for blocks that do not cross samples of `each` elements.
template <class Body>
void eachSampleBlock(Context& context, int64_t samples, int64_t each, Body body) {
  const int64_t blocks = blocksOf(each);
  context.pool.run(samples * blocks, [&](int64_t task, int) {
    const int64_t begin = task % blocks * kBlock;
    body(task / blocks, begin, std::min(kBlock, each - begin));
  });
}

// Rows of c channels in a chunk: about 64 KiB, from 8 to 256 rows. lib/ops/groupNorm.ts, layerNorm.ts and sumPerSample.ts
// size their scratch memory by the same rule.
inline int64_t chunkRows(int64_t c) { return std::clamp<int64_t>(kBlock / c, 8, 256); }

// out[group, i] = sum over k < count of partial[group, k, i], i < c, in order and in float64; stride floats from k to k + 1.
inline void sumPartials(Context& context, const float* partial, int64_t groups, int64_t count, int64_t stride, int64_t c,
                        float* out) {
  constexpr int64_t kWidth = 64;
  const int64_t pieces = blocksOf(c, kWidth);
  context.pool.run(groups * pieces, [&](int64_t task, int) {
    const int64_t begin = task % pieces * kWidth, width = std::min(kWidth, c - begin);
    const float* from = partial + task / pieces * count * stride + begin;
    double total[kWidth] = {};
    for (int64_t k = 0; k < count; k++, from += stride)
      for (int64_t i = 0; i < width; i++) total[i] += from[i];
    for (int64_t i = 0; i < width; i++) out[task / pieces * c + begin + i] = static_cast<float>(total[i]);
  });
}

}  // namespace tlora::cpu
