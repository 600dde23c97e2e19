#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "device.h"

namespace tlora {

// A range of device memory.
struct ByteRange {
  const char* name;
  char* data;
  size_t bytes;
};

// Bytes behind the arena and the io memory that belong to nobody, for a kernel that writes past the end.
constexpr size_t kGuardBytes = 4096;

// Finds kernels that write where they must not, and those that count on memory being zero: before a call everything
// is recorded and what the call writes is filled with NaN; afterwards everything else must be as it was.
class WriteGuard {
 public:
  WriteGuard(const Device& device, std::vector<ByteRange> spaces) : device_(device), spaces_(std::move(spaces)) {}
  // `written`: outputs and scratch; `read`: inputs, which keep their values where they lie in an output.
  void before(const std::vector<ByteRange>& written, const std::vector<ByteRange>& read);
  // The first changed byte outside what may be written, in words; empty if there is none.
  std::string after(const std::vector<ByteRange>& written) const;

 private:
  std::vector<char> copy(const ByteRange& space) const;

  const Device& device_;
  std::vector<ByteRange> spaces_;
  std::vector<std::vector<char>> copies_;
};

}  // namespace tlora
