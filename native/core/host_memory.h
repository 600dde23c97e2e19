#pragma once
#include <cstddef>

namespace tlora {

// 64-byte aligned zeroed memory of the process, or nullptr. Big blocks are mapped one by one, so that releasing one gives
// its pages back to the system, and ask for huge pages.
void* allocateHost(size_t bytes);
void releaseHost(void* data, size_t bytes);

// Bytes the system (or the control group this process is in) can still give, or SIZE_MAX where that is unknown.
size_t availableHostBytes();

}  // namespace tlora
