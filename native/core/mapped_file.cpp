#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace tlora {

MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(kFileFormat, "%s: %s", path.c_str(), strerror(errno));
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
    close(file);
    fail(kFileFormat, "%s: expected a file with tensors, got an empty file or a folder", path.c_str());
  }
  bytes_ = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  close(file);
  if (data == MAP_FAILED) fail(kFileFormat, "%s: cannot be mapped: %s", path.c_str(), strerror(error));
  data_ = static_cast<const char*>(data);
}

MappedFile::~MappedFile() { munmap(const_cast<char*>(data_), bytes_); }

namespace {

void advise(const char* data, size_t size, uint64_t offset, size_t bytes, int advice) {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = std::min<uint64_t>(size, offset + bytes);
  if (begin < end) madvise(const_cast<char*>(data) + begin, end - begin, advice);
}

}  // namespace

void MappedFile::prefetch(uint64_t offset, size_t bytes) const { advise(data_, bytes_, offset, bytes, MADV_WILLNEED); }
void MappedFile::release(uint64_t offset, size_t bytes) const { advise(data_, bytes_, offset, bytes, MADV_DONTNEED); }

}  // namespace tlora
