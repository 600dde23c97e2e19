#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace tlora {

// A file mapped for reading. Pages are read when touched and given back by `release`.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // Error (kFileFormat) when it cannot be opened or mapped
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // Starts reading a range in the background.
  void prefetch(uint64_t offset, size_t bytes) const;
  // Drops the pages of a range from this process.
  void release(uint64_t offset, size_t bytes) const;

 private:
  const char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace tlora
