// What a device must offer to run plans: a table of plain functions, so that a library opened at run time can fill it.
// The CPU's table is in native/cpu/backend.cpp, CUDA's in native/cuda/backend.cpp.
// Raise kBackendAbi whenever this file, kernel.h or tensor.h changes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel.h"

namespace tlora {

constexpr uint32_t kBackendAbi = 4;

// What the engine lends to a backend for as long as it is open.
struct Host {
  ThreadPool* pool;
  const std::atomic<bool>* cancelled;
};

struct DeviceOptions {
  int index = 0;      // below devices()
  bool tf32 = false;  // products of float32 matrices may round their factors to 10 bits of mantissa
  size_t attentionBytes = 0;  // taken beside the workspace, for what cuDNN's gradient of attention keeps
  double trialMs = 0;  // how long algorithms may be tried against each other at the first use of their shapes, in all; 0: the first is taken
};

// Room for one line that says why something failed.
struct Reason {
  char text[512] = "";
};

struct DeviceFacts {
  char name[256] = "";
  size_t memoryBytes = 0;
  size_t workspaceBytes = 0;  // what open() takes of it, beside what allocate() is asked for
  int major = 0, minor = 0;   // compute capability; 0 for the CPU
};

struct Backend {
  uint32_t abi;
  const char* name;
  // Rows per panel of a packed matrix (see tensor.h); 1 means row-major.
  int64_t panel;
  // Whether the host may read and write what `allocate` gives.
  bool hostVisible;

  // How many devices there are, or 0 and the reason why none can be used.
  int (*devices)(Reason& reason);
  bool (*describe)(int index, DeviceFacts& facts, Reason& reason);
  // nullptr: the device cannot be used, and the reason says why.
  void* (*open)(const Host& host, const DeviceOptions& options, Reason& reason);
  void (*close)(void* self);

  // 64-byte aligned, zero; nullptr when there is not enough.
  void* (*allocate)(void* self, size_t bytes);
  void (*release)(void* self, void* data, size_t bytes);
  // Bytes that allocate() could still give, about.
  size_t (*freeBytes)(void* self);
  // Host to device: follows the calls queued before it, and `from` may be used again at once. false: failed.
  bool (*write)(void* self, void* to, const void* from, size_t bytes);
  // Device to host: waits for the calls queued before it. false: failed.
  bool (*read)(void* self, void* to, const void* from, size_t bytes);

  // The kernel of an op, or nullptr when this backend has none of that name.
  const void* (*kernel)(const char* op);
  // Runs one call, or queues it behind those before it. With `ms`, waits for it and says how long it took. false: failed.
  bool (*run)(void* self, const void* kernel, const Call& call, double* ms, Reason& reason);
  // Waits until all queued calls are done. false: one of them failed.
  bool (*finish)(void* self, Reason& reason);
  // Index of the first element that is infinite or not a number, or -1. false: the device failed.
  bool (*firstNonFinite)(void* self, const Tensor& tensor, int64_t& index, Reason& reason);

  // Recordings, or four times nullptr where there are none: the calls between record() and recorded() are not run but kept, to be queued all at
  // once by replay(). They point at the memory they were given. recorded() gives nullptr when something failed. With `ms`, replay() waits and says
  // how long the device took.
  bool (*record)(void* self, Reason& reason);
  void* (*recorded)(void* self, Reason& reason);
  bool (*replay)(void* self, void* recording, double* ms, Reason& reason);
  void (*discard)(void* self, void* recording);

  // Which algorithms were chosen so far, as text: copied, with a 0 at its end, where `room` suffices; gives the bytes needed.
  size_t (*choices)(void* self, char* text, size_t room);
  // Takes such a text before the first run; or as suggestions, of which those that do not work are passed over. false: it belongs to another device
  // or version, and the reason says so.
  bool (*choose)(void* self, const char* text, bool suggestions, Reason& reason);
};

// The backend inside the addon.
const Backend& cpuBackend();

// The symbol "tlora_backend_get" of a backend library; nullptr for an abi it does not know.
using BackendGet = const Backend* (*)(uint32_t abi);

}  // namespace tlora
