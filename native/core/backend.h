// What a device must offer to run plans: a table of plain functions, so that a library opened at run time can fill it.
// The CPU's table is in native/cpu/backend.cpp. Raise kBackendAbi whenever this file, kernel.h or tensor.h changes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel.h"

namespace tlora {

constexpr uint32_t kBackendAbi = 1;

// What the engine lends to a backend for as long as it is open.
struct Host {
  ThreadPool* pool;
  const std::atomic<bool>* cancelled;
};

// Room for one line that says why something failed.
struct Reason {
  char text[512] = "";
};

struct Backend {
  uint32_t abi;
  const char* name;
  // Rows per panel of a packed matrix (see tensor.h); 1 means row-major.
  int64_t panel;
  // Whether the host may read and write what `allocate` gives.
  bool hostVisible;

  // nullptr: the device cannot be used, and the reason says why.
  void* (*open)(const Host& host, Reason& reason);
  void (*close)(void* self);

  // 64-byte aligned, zero; nullptr when there is not enough.
  void* (*allocate)(void* self, size_t bytes);
  void (*release)(void* self, void* data, size_t bytes);
  // Host to device and back, blocking. false: failed.
  bool (*write)(void* self, void* to, const void* from, size_t bytes);
  bool (*read)(void* self, void* to, const void* from, size_t bytes);

  // The kernel of an op, or nullptr when this backend has none of that name.
  const void* (*kernel)(const char* op);
  // Runs one call, or queues it behind those before it. false: failed.
  bool (*run)(void* self, const void* kernel, const Call& call, Reason& reason);
  // Waits until all queued calls are done. false: one of them failed.
  bool (*finish)(void* self, Reason& reason);
  // Index of the first element that is infinite or not a number, or -1.
  int64_t (*firstNonFinite)(void* self, const Tensor& tensor);
};

// The backend inside the addon.
const Backend& cpuBackend();

// The symbol "tlora_backend_get" of a backend library; nullptr for an abi it does not know.
using BackendGet = const Backend* (*)(uint32_t abi);

}  // namespace tlora
