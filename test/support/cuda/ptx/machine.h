// A block of a kernel: its warps, their lanes and its shared memory.
// The lanes of a warp that stand at the same instruction do it together. Where they have parted, those that are furthest behind in the
// kernel's text go first, so that they meet again by themselves; lanes that come to an instruction for several wait there for the others.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../emulator.h"
#include "program.h"
#include "races.h"

namespace tlora::ptx {

class Module;

struct Launch {
  const Kernel* kernel = nullptr;
  const Module* module = nullptr;
  dim3 grid, block;
  size_t sharedBytes = 0;     // dynamic
  bool dependent = false;     // may begin before the launch before it has ended: griddepcontrol.wait
  std::vector<char> parameters;
};

class Block;

// Bytes that a thread's cp.async is to bring.
struct Copy {
  const char* from;
  uint32_t to;
  uint8_t bytes, sourceBytes;
};
struct Copies {
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;  // oldest first
};

struct Warp {
  Block* block = nullptr;
  uint32_t mask = 0;                // lanes that do the instruction
  alignas(64) int32_t lanes[kLanes];  // the same: -1 or 0
  char* bases[2] = {nullptr, nullptr};  // registers, constants
  uint32_t carry = 0;               // CC.CF of each lane
  uint32_t live = 0, begun = 0;     // lanes that have not ended; that there are
  uint32_t pc = 0, group = 0;       // where the running lanes are, and which they are
  uint32_t index = 0;
  uint32_t dependencyAwaited = 0;
  bool atBarrier = false;
  struct Parked {
    uint32_t pc, mask;
    bool waiting;  // for other lanes
  };
  std::vector<Parked> parked;
  uint32_t nextParked = UINT32_MAX;  // the lowest pc of those that do not wait
  std::vector<char> registers, local;
  std::vector<uint32_t> nobodys;    // lanes where each of the kernel's suspects holds a value of nobody's; empty: not checking
  std::array<Copies, kLanes> copies;
  uint32_t synced = 0;              // races.h: time of the last bar.warp.sync of the whole warp

  template <class T>
  T* at(Place place) {
    return reinterpret_cast<T*>(bases[place >> 31] + (place & ~kConstant));
  }
  void setMask(uint32_t wanted) {
    if (wanted == mask) return;
    mask = wanted;
    for (unsigned i = 0; i < kLanes; i++) lanes[i] = -int32_t(wanted >> i & 1);
  }
  unsigned firstLane() const { return unsigned(__builtin_ctz(mask)); }
  [[noreturn]] void fail(unsigned lane, const std::string& what);
};

// Lanes that wait at an instruction.
struct Meeting {
  const Instruction* in;
  uint32_t lanes;
};
// A shuffle is done when all lanes of its mask have come to one of the same mode with the same mask, not necessarily to the same one: nvcc
// copies it into both arms of a branch. false: these are not that.
bool meet(Warp& warp, const std::vector<Meeting>& groups);

// Writes f(lane) for the lanes that take part.
template <class T, class F>
inline __attribute__((always_inline)) void put(Warp& w, Place place, F f) {
  T* d = w.at<T>(place);
  if (w.mask == kEveryLane) {
#pragma GCC ivdep
    for (unsigned i = 0; i < kLanes; i++) d[i] = f(i);
  } else {
    alignas(64) T t[kLanes];
#pragma GCC ivdep
    for (unsigned i = 0; i < kLanes; i++) t[i] = f(i);
    for (unsigned i = 0; i < kLanes; i++) d[i] = w.lanes[i] ? t[i] : d[i];
  }
}

inline void putPredicate(Warp& w, Place place, uint32_t bits) {
  uint32_t* d = w.at<uint32_t>(place);
  *d = (*d & ~w.mask) | (bits & w.mask);
}

// One bit a lane.
template <class F>
inline __attribute__((always_inline)) uint32_t bitsOf(F f) {
  alignas(64) uint8_t set[kLanes];
#pragma GCC ivdep
  for (unsigned i = 0; i < kLanes; i++) set[i] = f(i) ? 1 : 0;
  uint32_t bits = 0;
  for (unsigned g = 0; g < 4; g++) {
    uint64_t eight;
    __builtin_memcpy(&eight, set + g * 8, 8);
    bits |= uint32_t(eight * 0x0102040810204080u >> 56) << (g * 8);
  }
  return bits;
}

class Block {
 public:
  explicit Block(const Launch& launch);
  // Throws tlora::emulated::Fault.
  void run(unsigned x, unsigned y, unsigned z);

  const Launch& launch() const { return *launch_; }
  char* shared() { return shared_.data(); }  // address kReservedShared is its first byte
  size_t sharedBytes() const { return sharedBytes_; }
  Races* races() { return races_.get(); }
  [[noreturn]] void fail(const Warp& warp, unsigned lane, const std::string& what) const;

 private:
  void begin(Warp& warp);
  void runWarp(Warp& warp);
  void split(Warp& warp, uint32_t pc, uint32_t lanes);
  void park(Warp& warp, uint32_t pc, uint32_t lanes, bool waiting);
  bool choose(Warp& warp);
  bool come(Warp& warp, const Instruction& in, uint32_t active);
  void unblock(Warp& warp);
  void follow(Warp& warp, const Instruction& in, uint32_t active);
  void passBarrier();

  const Launch* launch_;
  dim3 index_;
  std::vector<std::unique_ptr<Warp>> warps_;
  std::vector<char> shared_;
  size_t sharedBytes_ = 0;
  std::unique_ptr<Races> races_;
};

}  // namespace tlora::ptx
