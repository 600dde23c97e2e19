#include "host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tlora {
namespace {

constexpr size_t kMapped = size_t{64} << 10;   // from here on a block has its own mapping
constexpr size_t kHuge = size_t{2} << 20;      // x86-64 huge page
constexpr size_t kReserve = size_t{64} << 20;  // left to the rest of the process

size_t wholePages(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

void* map(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

// A mapping that begins at a multiple of the huge page size: the slack on both sides is given back at once.
void* mapHuge(size_t bytes) {
  char* p = static_cast<char*>(map(bytes + kHuge));
  if (!p) return nullptr;
  const size_t before = (kHuge - reinterpret_cast<uintptr_t>(p) % kHuge) % kHuge;
  if (before > 0) munmap(p, before);
  munmap(p + before + bytes, kHuge - before);
#ifdef MADV_HUGEPAGE
  madvise(p + before, bytes, MADV_HUGEPAGE);
#endif
  return p + before;
}

// The number in the first line of `path` that starts with `key` ("" for a file that holds one number), or SIZE_MAX.
size_t readNumber(const char* path, const char* key) {
  FILE* file = fopen(path, "re");
  if (!file) return SIZE_MAX;
  size_t value = SIZE_MAX;
  char line[256];
  while (fgets(line, sizeof line, file)) {
    unsigned long long number;
    if (strncmp(line, key, strlen(key)) != 0) continue;
    if (sscanf(line + strlen(key), " %llu", &number) == 1) value = static_cast<size_t>(number);
    break;
  }
  fclose(file);
  return value;
}

}  // namespace

void* allocateHost(size_t bytes) {
  if (bytes > availableHostBytes()) return nullptr;
  if (bytes >= kHuge) return mapHuge(wholePages(bytes));
  if (bytes >= kMapped) return map(wholePages(bytes));
  const size_t size = std::max<size_t>(64, (bytes + 63) / 64 * 64);
  void* p = aligned_alloc(64, size);
  if (p) memset(p, 0, size);
  return p;
}

void releaseHost(void* data, size_t bytes) {
  if (!data) return;
  if (bytes >= kMapped) {
    munmap(data, wholePages(bytes));
  } else {
    free(data);
  }
}

size_t availableHostBytes() {
  const size_t kilobytes = readNumber("/proc/meminfo", "MemAvailable:");
  size_t available = kilobytes == SIZE_MAX ? SIZE_MAX : kilobytes << 10;
  const size_t limit = readNumber("/sys/fs/cgroup/memory.max", "");
  const size_t used = readNumber("/sys/fs/cgroup/memory.current", "");
  if (limit != SIZE_MAX && used != SIZE_MAX) {
    const size_t cached = readNumber("/sys/fs/cgroup/memory.stat", "inactive_file");
    const size_t busy = cached == SIZE_MAX || cached > used ? used : used - cached;
    available = std::min(available, limit > busy ? limit - busy : 0);
  }
  if (available == SIZE_MAX) return SIZE_MAX;
  return available > kReserve ? available - kReserve : 0;
}

}  // namespace tlora
