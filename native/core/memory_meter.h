#pragma once
#include <atomic>
#include <cstddef>

namespace tlora {

enum class Use { weights, state, arena, io, workspace };

// Bytes an engine holds, by use, and the most it ever held. Read from any thread.
class MemoryMeter {
 public:
  void add(Use use, size_t bytes) {
    at(use) += bytes;
    const size_t now = total_ += bytes;
    size_t peak = peak_;
    while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  void remove(Use use, size_t bytes) {
    at(use) -= bytes;
    total_ -= bytes;
  }
  size_t bytes(Use use) const { return uses_[static_cast<int>(use)]; }
  size_t total() const { return total_; }
  size_t peak() const { return peak_; }

 private:
  std::atomic<size_t>& at(Use use) { return uses_[static_cast<int>(use)]; }
  std::atomic<size_t> uses_[5] = {};
  std::atomic<size_t> total_{0}, peak_{0};
};

}  // namespace tlora
