#include "heap.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "access_checks.h"
#include "emulator.h"

namespace tlora::emulated {

namespace {

constexpr size_t kGranule = 4096;
constexpr size_t kPoisonBytes = size_t{256} << 10;  // of a block's beginning: a workspace is much larger than what is used of it

std::recursive_mutex mutex;
char* base = nullptr;
size_t top = 0, inUse = 0;
std::atomic<unsigned long> changes{1};
int opened = 0;
std::map<char*, size_t> live, holes;  // bytes in granules, and a granule more that is never used

void protect(size_t from, size_t to, bool open) {
  if (to > from) mprotect(base + from, to - from, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

// Says why before the process ends as it would have.
void onFault(int, siginfo_t* info, void*) {
  const char* address = static_cast<char*>(info->si_addr);
  if (address >= base && address < base + kHeapBytes) {
    constexpr char text[] = "emulated device: the host touched device memory\n";
    if (write(2, text, sizeof text - 1) < 0) _exit(139);
  }
  signal(SIGSEGV, SIG_DFL);
}

void reserve() {
  if (base) return;
  void* memory = mmap(nullptr, kHeapBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  base = static_cast<char*>(memory);
  if (!checking()) return;
  watchHeap(base, kHeapBytes);
  struct sigaction action = {};
  action.sa_sigaction = onFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

char* takeHole(size_t room) {
  for (auto hole = holes.begin(); hole != holes.end(); ++hole) {
    if (hole->second != room) continue;
    char* data = hole->first;
    holes.erase(hole);
    return data;
  }
  return nullptr;
}

}  // namespace

char* allocateDevice(size_t bytes) {
  const std::lock_guard lock(mutex);
  reserve();
  const size_t room = (bytes / kGranule + 2) * kGranule;
  if (inUse + bytes > kDeviceBytes) return nullptr;
  char* data = takeHole(room);
  if (!data) {
    if (top + room > kHeapBytes) return nullptr;
    data = base + top;
    protect(top, top + room, opened > 0 || !checking());
    top += room;
  }
  live[data] = bytes;
  changes++;
  inUse += bytes;
  if (checking()) {
    const DeviceAccess access;
    memset(data, 0xff, std::min(bytes, kPoisonBytes));
    watchAllocation(data, bytes, true);
  }
  return data;
}

bool releaseDevice(char* data) {
  const std::lock_guard lock(mutex);
  const auto found = live.find(data);
  if (found == live.end()) return false;
  const size_t bytes = found->second, room = (bytes / kGranule + 2) * kGranule;
  live.erase(found);
  changes++;
  inUse -= bytes;
  holes[data] = room;
  madvise(data, room, MADV_DONTNEED);
  if (checking()) watchAllocation(data, bytes, false);
  return true;
}

size_t deviceBytesInUse() {
  const std::lock_guard lock(mutex);
  return inUse;
}

DeviceRange allocationAt(const char* address) {
  const std::lock_guard lock(mutex);
  const auto after = live.upper_bound(const_cast<char*>(address));
  if (after == live.begin()) return {nullptr, nullptr};
  const auto& [begin, bytes] = *std::prev(after);
  return {begin, begin + bytes};
}

unsigned long heapChanges() { return changes; }

DeviceAccess::DeviceAccess() {
  mutex.lock();
  if (opened++ == 0 && checking()) protect(0, top, true);
}
DeviceAccess::~DeviceAccess() {
  if (--opened == 0 && checking()) protect(0, top, false);
  mutex.unlock();
}

}  // namespace tlora::emulated
