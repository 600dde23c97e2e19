// Device memory: one range of addresses that, while checking, only kernels and copies can touch.
#pragma once
#include <cstddef>

namespace tlora::emulated {

constexpr size_t kHeapBytes = size_t{32} << 30;
constexpr size_t kDeviceBytes = size_t{16} << 30;

// 256-byte aligned, while checking filled with NaN at its beginning; nullptr where there is no room.
char* allocateDevice(size_t bytes);
// false: not what allocateDevice gave.
bool releaseDevice(char* data);
size_t deviceBytesInUse();

struct DeviceRange {
  const char *begin, *end;
};
// The allocation that an address lies in or, where it lies in none, the one before it; both nullptr: there is none.
DeviceRange allocationAt(const char* address);
// How often memory was given out or given back.
unsigned long heapChanges();

// Opens device memory to this process for as long as it lives.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace tlora::emulated
