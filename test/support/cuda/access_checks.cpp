// Kernels are compiled with -fsanitize=thread but not linked with its library: the calls that the compiler puts before every access
// come here. An access is a race if another thread touched the same bytes, one of the two writing, and no barrier that both passed
// lies between: of the block, or of the warp (__syncwarp). Blocks of one launch never wait for each other.
#include "access_checks.h"

#include <dlfcn.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "block.h"
#include "emulator.h"

namespace tlora::emulated {

namespace {

constexpr size_t kCellBytes = 2;

uint32_t blockNumber = 0, firstOfLaunch = 1;
char *heapBegin = nullptr, *heapEnd = nullptr;
Cell* heapCells = nullptr;
Cell sharedCells[kMostSharedBytes / kCellBytes];
std::map<char*, size_t> allocations;  // by their first byte

bool readFlag() {
  const char* value = getenv("TLORA_EMULATE_CHECK");
  return value && *value && *value != '0';
}

const bool checkingFlag = readFlag();

// "file:line" of an address in a kernel, if the machine has addr2line.
std::string sourceLine(void* address) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname) return "";
  char command[1024], line[512] = "";
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
  snprintf(command, sizeof command, "addr2line -s -e '%s' 0x%zx 2>/dev/null", info.dli_fname, size_t(offset));
  FILE* pipe = popen(command, "r");
  if (!pipe) return "";
  const bool got = fgets(line, sizeof line, pipe) != nullptr;
  pclose(pipe);
  std::string text = got ? line : "";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() || text[0] == '?' ? "" : " at " + text;
}

std::string nameOf(const char* address, bool shared) {
  if (shared) return thisBlock().sharedName(size_t(address - thisBlock().sharedBase()));
  const auto after = allocations.upper_bound(const_cast<char*>(address));
  if (after == allocations.begin()) return "device memory";
  const auto& [begin, bytes] = *std::prev(after);
  return "device memory, byte " + std::to_string(address - begin) + " of " + std::to_string(bytes);
}

[[noreturn]] void race(const char* address, bool shared, const char* what, const Access& other, void* code) {
  const std::string who = other.block == blockNumber ? "thread " + std::to_string(other.thread) : "another block";
  thisBlock().fail(std::string("race: ") + what + " of " + nameOf(address, shared) + ", which " + who +
                   " touched with no barrier between" + sourceLine(code));
}

[[noreturn]] void early(bool write, void* code) {
  thisBlock().fail(std::string(write ? "a write" : "a read") + " of device memory before the kernel before was waited for" + sourceLine(code));
}

bool sameWarp(const Access& a) { return a.thread / 32 == running.linear / 32; }

// Whether the accesses of this launch (to shared memory: of this block) that `a` stands for come before this thread's.
bool ordered(const Access& a) {
  if (a.block != blockNumber || a.by == Access::blocks) return false;
  if (a.epoch < uint16_t(running.epoch)) return true;
  if (a.by == Access::warps || !sameWarp(a)) return false;
  return a.warpEpoch < uint16_t(running.warpEpoch) || (a.by == Access::one && a.thread == running.linear);
}

// Adds this thread's read to those of the same launch that the cell stands for.
void noteRead(Access& read, const Access& now) {
  if (read.block != now.block || read.by == Access::blocks) {
    read.block = now.block;
    read.by = Access::blocks;
  } else if (read.epoch < now.epoch) {
    read = now;
  } else if (!sameWarp(read) || read.by == Access::warps) {
    read.by = Access::warps;
  } else if (read.warpEpoch < now.warpEpoch) {
    read = now;
  } else if (read.thread != now.thread) {
    read.by = Access::lanesOfAWarp;
  }
}

char *lastBegin = nullptr, *lastEnd = nullptr;  // of the allocation that was touched last

void checkBounds(const char* address, size_t bytes, bool write, void* code) {
  if (address >= lastBegin && address + bytes <= lastEnd) return;
  const auto after = allocations.upper_bound(const_cast<char*>(address));
  if (after != allocations.begin()) {
    const auto& [begin, size] = *std::prev(after);
    lastBegin = begin;
    lastEnd = begin + size;
    if (address + bytes <= lastEnd) return;
  }
  thisBlock().fail(std::string(write ? "a write" : "a read") + " outside of all device memory" + sourceLine(code));
}

// One cell, whatever was there before. `oldest`: accesses by blocks of lower numbers do not count.
__attribute__((noinline)) void touchCell(Cell& cell, const char* address, bool write, bool shared, uint32_t oldest, void* code) {
  const Access now{blockNumber, uint16_t(running.epoch), uint16_t(running.warpEpoch), uint16_t(running.linear), Access::one};
  const bool written = cell.write.block >= oldest, read = cell.read.block >= oldest;
  if (written && !ordered(cell.write)) race(address, shared, write ? "a write" : "a read", cell.write, code);
  if (write) {
    if (read && !ordered(cell.read)) race(address, shared, "a write", cell.read, code);
    cell.write = now;
  } else if (shared && !written) {
    thisBlock().fail("a read of " + nameOf(address, true) + ", which no thread has written" + sourceLine(code));
  } else if (!read) {
    cell.read = now;
  } else {
    noteRead(cell.read, now);
  }
}

// What most accesses are, and change nothing: a read of what was written before the last barrier and read since by several warps, or
// by this thread.
inline bool settled(const Cell& cell, bool shared, uint32_t block, uint16_t epoch, uint16_t thread, uint32_t oldest) {
  const bool before = shared ? cell.write.block == block && cell.write.epoch < epoch : cell.write.block < oldest;
  if (!before || cell.read.block != block) return false;
  if (cell.read.by == Access::blocks) return true;
  return cell.read.epoch == epoch && (cell.read.by == Access::warps || (cell.read.by == Access::one && cell.read.thread == thread));
}

template <size_t Bytes, bool Write>
inline void touchCells(Cell* cell, const char* address, bool shared, uint32_t oldest, void* code) {
  const auto epoch = uint16_t(running.epoch), thread = uint16_t(running.linear);
  for (size_t i = 0; i < Bytes; i += kCellBytes, cell++) {
    if (!Write && settled(*cell, shared, blockNumber, epoch, thread, oldest)) continue;
    touchCell(*cell, address + i, Write, shared, oldest, code);
  }
}

template <size_t Bytes, bool Write>
inline void touch(const void* pointer, void* code) {
  if (!checkingFlag || !running.inKernel) return;
  const char* address = static_cast<const char*>(pointer);
  if (address >= heapBegin && address < heapEnd) {
    if (!running.waited) early(Write, code);
    checkBounds(address, Bytes, Write, code);
    return touchCells<Bytes, Write>(heapCells + (address - heapBegin) / kCellBytes, address, false, firstOfLaunch, code);
  }
  const char* sharedBegin = running.shared;
  if (address < sharedBegin || address >= sharedBegin + kMostSharedBytes) return;
  touchCells<Bytes, Write>(sharedCells + (address - sharedBegin) / kCellBytes, address, true, blockNumber, code);
}

template <bool Write>
void touchRange(const void* pointer, long bytes, void* code) {
  const char* address = static_cast<const char*>(pointer);
  for (long i = 0; i < bytes; i += kCellBytes) touch<kCellBytes, Write>(address + i, code);
}

}  // namespace

bool checking() { return checkingFlag; }
void beginLaunch() { firstOfLaunch = blockNumber + 1; }
void beginBlock() { blockNumber++; }

void watchHeap(char* heap, size_t bytes) {
  void* cells = mmap(nullptr, bytes / kCellBytes * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (cells == MAP_FAILED) throw std::bad_alloc();
  heapCells = static_cast<Cell*>(cells);
  heapBegin = heap;
  heapEnd = heap + bytes;
}

void watchAllocation(char* data, size_t bytes, bool live) {
  if (live) {
    allocations[data] = bytes;
  } else {
    allocations.erase(data);
    lastBegin = lastEnd = nullptr;
  }
}

}  // namespace tlora::emulated

using tlora::emulated::touch;
using tlora::emulated::touchRange;

#define TLORA_CODE __builtin_return_address(0)
#define TLORA_HOOKS(n)                                                       \
  void __tsan_read##n(void* p) { touch<n, false>(p, TLORA_CODE); }           \
  void __tsan_write##n(void* p) { touch<n, true>(p, TLORA_CODE); }           \
  void __tsan_unaligned_read##n(void* p) { touch<n, false>(p, TLORA_CODE); } \
  void __tsan_unaligned_write##n(void* p) { touch<n, true>(p, TLORA_CODE); } \
  void __tsan_volatile_read##n(void* p) { touch<n, false>(p, TLORA_CODE); }  \
  void __tsan_volatile_write##n(void* p) { touch<n, true>(p, TLORA_CODE); }

extern "C" {
TLORA_HOOKS(1)
TLORA_HOOKS(2)
TLORA_HOOKS(4)
TLORA_HOOKS(8)
TLORA_HOOKS(16)
void __tsan_read_range(void* p, long n) { touchRange<false>(p, n, TLORA_CODE); }
void __tsan_write_range(void* p, long n) { touchRange<true>(p, n, TLORA_CODE); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
