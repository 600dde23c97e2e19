// How group norm cuts x [n, positions, c] into blocks: a slab of channels, the fewest (at least 64 where there are several blocks a slab)
// that are whole groups and whole units of 16 bytes, and a chunk of positions. Threads of a block are [lanes, units]: a thread keeps its
// channels, lanes share the positions.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <numeric>

#include "core/tensor.h"
#include "cuda/launch.h"

namespace tlora::cuda::slabs {

constexpr int kMaxThreads = 512, kMaxSlabGroups = 64;
constexpr int64_t kWholeUnits = 16 * kMaxThreads;  // of a slab in one block: up to 128 KiB of x

// How x is cut. A slab is `slabGroups` groups; it is read in units of `width` channels, `units` at a time.
struct Cut {
  int64_t n, positions, c, groups, groupWidth;
  int64_t slabs, slabGroups, rows, chunks;  // rows: positions of a chunk
  int width, units, lanes, threads;
  bool packed;

  __host__ __device__ int64_t slabWidth() const { return slabGroups * groupWidth; }
  __host__ __device__ int spread() const { return units * width; }  // channels side by side
  // Places of a group among those: all of them where the slab is one group read in several steps.
  __device__ int groupSpread() const { return packed ? int(groupWidth) : units; }
};

inline Cut cutOf(const Tensor& x, double groupCount, int packSize, bool packed) {
  Cut cut{};
  cut.n = x.dims[0], cut.c = x.last(), cut.groups = int64_t(groupCount);
  cut.positions = x.size() / (cut.n * cut.c);
  cut.groupWidth = cut.c / cut.groups;
  const int64_t least = std::lcm(cut.groupWidth, int64_t{packSize});
  cut.packed = packed && least <= 64 * packSize;
  cut.width = cut.packed ? packSize : 1;
  const auto slabOf = [&](int64_t channels) {
    cut.slabGroups = cut.packed ? channels / cut.groupWidth : 1;
    cut.slabs = ceilDiv(cut.groups, cut.slabGroups);
    cut.units = int(std::min<int64_t>(64, cut.slabWidth() / cut.width));
  };
  slabOf(least);
  if (cut.positions * (cut.slabWidth() / cut.width) <= kWholeUnits) {
    cut.rows = cut.positions, cut.chunks = 1, cut.threads = cut.positions * cut.units >= kMaxThreads ? kMaxThreads : 128;
  } else {
    slabOf(least * std::max<int64_t>(1, ceilDiv(64, least)));
    // No more chunks than lib/ops/groupNorm.ts counts for the scratch memory.
    const int64_t fewest = std::min<int64_t>(256, std::max<int64_t>(8, 16384 / cut.c));
    cut.rows = std::max(fewest, ceilDiv(cut.positions, 128));
    cut.chunks = ceilDiv(cut.positions, cut.rows), cut.threads = 256;
  }
  cut.lanes = cut.threads / cut.units;
  return cut;
}

// This block's part of x, and this thread's of that.
struct Part {
  Cut cut;
  int64_t sample, slab, chunk, firstGroup;
  int slabGroups, lane, unit, steps;  // groups of this slab; steps that the block needs over its channels
  int64_t begin, end;                 // positions

  __device__ explicit Part(const Cut& cut) : cut(cut) {
    slab = blockIdx.x, chunk = blockIdx.y, sample = blockIdx.z;
    firstGroup = slab * cut.slabGroups;
    const int64_t left = cut.groups - firstGroup;
    slabGroups = int(left < cut.slabGroups ? left : cut.slabGroups);
    lane = int(threadIdx.x) / cut.units, unit = int(threadIdx.x) % cut.units;
    steps = int((slabGroups * cut.groupWidth + cut.spread() - 1) / cut.spread());
    begin = chunk * cut.rows;
    end = begin + cut.rows < cut.positions ? begin + cut.rows : cut.positions;
  }
  // The first of this thread's channels in a step, within the slab; whether it has any.
  __device__ int64_t inSlab(int step) const { return int64_t(step) * cut.spread() + unit * cut.width; }
  __device__ bool has(int step) const { return lane < cut.lanes && inSlab(step) < slabGroups * cut.groupWidth; }
  __device__ int64_t channel(int step) const { return firstGroup * cut.groupWidth + inSlab(step); }
  // Where the channel's value at a position lies.
  __device__ int64_t at(int64_t position, int64_t channel) const { return (sample * cut.positions + position) * cut.c + channel; }
  // The group of channel k of this thread's unit, within the slab.
  __device__ int groupOf(int step, int k) const { return int((inSlab(step) + k) / cut.groupWidth); }
  __device__ int64_t place(int group) const { return sample * cut.groups + firstGroup + group; }
  // Two floats a chunk: [n, groups, chunks, 2].
  __device__ int64_t partial(int group, int64_t chunk) const { return (place(group) * cut.chunks + chunk) * 2; }
  // Values that a thread (lane, unit) read, of each of its channels.
  __device__ int64_t countOf(int lane, int unit) const {
    const int64_t channels = slabGroups * cut.groupWidth - unit * cut.width;
    const int64_t mine = channels <= 0 ? 0 : (channels + cut.spread() - 1) / cut.spread();
    return begin + lane >= end ? 0 : (end - begin - lane + cut.lanes - 1) / cut.lanes * mine;
  }
};

// body(group of the slab, lane of the warp): a warp has every group that is its number modulo the warps.
template <class Body>
__device__ inline void eachGroup(const Part& part, Body body) {
  for (int group = int(threadIdx.x) / 32; group < part.slabGroups; group += int(blockDim.x) / 32) body(group, int(threadIdx.x) % 32);
}

}  // namespace tlora::cuda::slabs
