// The twins of native/cuda/tensorCore.h: what each instruction does, lane by lane, on the emulated device.
#pragma once
#include <array>
#include <deque>
#include <vector>

#include "emulator.h"

namespace tlora::emulated {

// Every lane of the warp shows the others where its registers lie; they may be read until `done`.
template <class T>
std::array<const T*, 32> showRegisters(const T& mine) {
  const uint64_t* all = warpRendezvous(WarpOp::exchange, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), std::source_location::current());
  std::array<const T*, 32> shown;
  for (int lane = 0; lane < 32; lane++) shown[lane] = reinterpret_cast<const T*>(all[lane]);
  return shown;
}
inline void done() { warpRendezvous(WarpOp::sync, 0xffffffffu, 0, std::source_location::current()); }

template <class T>
float halfOf(uint32_t pair, int second) {
  T values[2];
  memcpy(values, &pair, sizeof values);
  return ::tlora::cuda::toFloat(values[second]);
}

// Copies that a thread has asked for and not yet waited for, by groups; the last one is still open.
struct AsyncCopy {
  uint4* to;
  const uint4* from;  // nullptr: zeros
};
inline std::deque<std::vector<AsyncCopy>>& copiesOfThread() {
  static thread_local std::vector<std::deque<std::vector<AsyncCopy>>> all(1024);
  return all[running.linear];
}

}  // namespace tlora::emulated

namespace tlora::cuda {

template <class T>
void mma(float& c0, float& c1, float& c2, float& c3, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Registers {
    uint32_t a[4], b[2];
  };
  const Registers mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const auto all = emulated::showRegisters(mine);
  const int lane = int(emulated::running.linear % 32), group = lane / 4, pair = lane % 4;
  float* c[4] = {&c0, &c1, &c2, &c3};
  for (int k = 0; k < 16; k++) {
    const int owner = k % 8 / 2, high = k / 8;
    for (int i = 0; i < 4; i++) {
      const float left = emulated::halfOf<T>(all[group * 4 + owner]->a[2 * high + i / 2], k % 2);
      const float right = emulated::halfOf<T>(all[(2 * pair + i % 2) * 4 + owner]->b[high], k % 2);
      *c[i] += left * right;
    }
  }
  emulated::done();
}

template <class T>
void loadMatrices(uint32_t (&r)[4], SharedArray<T> tile, int at) {
  T* const row = tile.span(at, 8);
  emulated::checkAligned(row, 16);
  const auto all = emulated::showRegisters(row);
  const int lane = int(emulated::running.linear % 32);
  for (int m = 0; m < 4; m++) memcpy(&r[m], *all[m * 8 + lane / 4] + 2 * (lane % 4), sizeof r[m]);
  emulated::done();
}

template <class T>
void loadMatricesTransposed(uint32_t (&r)[4], SharedArray<T> tile, int at) {
  T* const row = tile.span(at, 8);
  emulated::checkAligned(row, 16);
  const auto all = emulated::showRegisters(row);
  const int lane = int(emulated::running.linear % 32);
  for (int m = 0; m < 4; m++) {
    const T values[2] = {(*all[m * 8 + 2 * (lane % 4)])[lane / 4], (*all[m * 8 + 2 * (lane % 4) + 1])[lane / 4]};
    memcpy(&r[m], values, sizeof r[m]);
  }
  emulated::done();
}

// The copy itself is made when it is waited for: what reads too early reads what was there before.
template <class T>
void copyAsync(SharedArray<T> tile, int at, const T* from, bool valid) {
  T* const to = tile.span(at, 16 / int(sizeof(T)));
  emulated::checkAligned(to, 16);
  emulated::checkAligned(from, 16);
  auto& groups = emulated::copiesOfThread();
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({reinterpret_cast<uint4*>(to), valid ? reinterpret_cast<const uint4*>(from) : nullptr});
}

inline void commitCopies() {
  auto& groups = emulated::copiesOfThread();
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}

template <int newest>
void waitCopies() {
  auto& groups = emulated::copiesOfThread();
  for (; groups.size() > newest + 1; groups.pop_front()) {
    for (const emulated::AsyncCopy& copy : groups.front()) {
      *copy.to = copy.from ? *copy.from : uint4{};
    }
  }
}

}  // namespace tlora::cuda
