// Which thread touched which memory since when: the checks of TLORA_EMULATE_CHECK=1.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tlora::emulated {

constexpr unsigned kAllLanes = 0xffffffffu;

// The last access of one kind to two bytes. Blocks are numbered over all launches, so that older ones need no clearing.
struct Access {
  uint32_t block = 0;
  uint16_t epoch = 0, warpEpoch = 0, thread = 0;
  enum : uint16_t { one, lanesOfAWarp, warps, blocks } by = one;
};
struct Cell {
  Access write, read;
};

// A kernel begins; then each of its blocks.
void beginLaunch();
void beginBlock();

// The cells of all device memory; called when checking, once the heap is there.
void watchHeap(char* heap, size_t bytes);
// Memory was given out, or given back.
void watchAllocation(char* data, size_t bytes, bool live);

}  // namespace tlora::emulated
