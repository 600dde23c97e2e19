// The CPU as a backend: kernels are functions, memory is the process's, every call is done when run() returns.
#include "core/backend.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include "core/half.h"
#include "core/host_memory.h"

namespace tlora {
namespace cpu {

#define TLORA_OP(name, ...) void name(const Call&, Context&);
#define TLORA_CPU_OP(...) TLORA_OP(__VA_ARGS__)
#include "core/ops.def"
#undef TLORA_OP

namespace {

struct KernelEntry {
  const char* op;
  Kernel kernel;
};

constexpr KernelEntry kKernels[] = {
#define TLORA_OP(name, ...) {#name, name},
#define TLORA_CPU_OP(...) TLORA_OP(__VA_ARGS__)
#include "core/ops.def"
#undef TLORA_OP
};

struct Cpu {
  Host host;
  std::vector<void*> workspaces;
  ~Cpu() {
    for (void* w : workspaces) releaseHost(w, kWorkspaceBytes);
  }
};

void explain(Reason& reason, const char* text) { snprintf(reason.text, sizeof reason.text, "%s", text); }

int devices(Reason&) { return 1; }

bool describe(int, DeviceFacts& facts, Reason&) {
  snprintf(facts.name, sizeof facts.name, "CPU");
  facts.memoryBytes = availableHostBytes();
  return true;
}

void* open(const Host& host, const DeviceOptions&, Reason& reason) {
  auto cpu = std::make_unique<Cpu>();
  cpu->host = host;
  for (int i = 0; i < host.pool->threads(); i++) {
    void* workspace = allocateHost(kWorkspaceBytes);
    if (!workspace) {
      explain(reason, "not enough memory for the threads' workspaces");
      return nullptr;
    }
    cpu->workspaces.push_back(workspace);
  }
  return cpu.release();
}

void close(void* self) { delete static_cast<Cpu*>(self); }

void* allocate(void*, size_t bytes) { return allocateHost(bytes); }
void release(void*, void* data, size_t bytes) { releaseHost(data, bytes); }

size_t freeBytes(void*) { return availableHostBytes(); }

bool copy(void*, void* to, const void* from, size_t bytes) {
  memcpy(to, from, bytes);
  return true;
}

const void* kernel(const char* op) {
  for (const KernelEntry& entry : kKernels) {
    if (strcmp(entry.op, op) == 0) return &entry;
  }
  return nullptr;
}

bool run(void* self, const void* kernel, const Call& call, double* ms, Reason& reason) {
  Cpu& cpu = *static_cast<Cpu*>(self);
  const auto start = std::chrono::steady_clock::now();
  Context context{*cpu.host.pool, *cpu.host.cancelled, cpu.workspaces.data()};
  try {
    static_cast<const KernelEntry*>(kernel)->kernel(call, context);
    if (ms) *ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return true;
  } catch (const std::bad_alloc&) {
    explain(reason, "not enough memory inside the kernel");
  } catch (const std::exception& error) {
    explain(reason, error.what());
  } catch (...) {
    explain(reason, "the kernel threw something that is not an exception");
  }
  return false;
}

bool finish(void*, Reason&) { return true; }

bool firstNonFinite(void*, const Tensor& tensor, int64_t& index, Reason&) {
  const int64_t n = tensor.size();
  index = 0;
  while (index < n && std::isfinite(floatAt(tensor.data, tensor.dtype, index))) index++;
  if (index == n) index = -1;
  return true;
}

// The CPU's algorithms depend on shapes alone.
size_t choices(void*, char* text, size_t room) {
  if (room > 0) *text = 0;
  return 1;
}
bool choose(void*, const char*, bool, Reason&) { return true; }

constexpr Backend kBackend = {
    .abi = kBackendAbi,
    .name = "cpu",
    .panel = kPanel,
    .hostVisible = true,
    .devices = devices,
    .describe = describe,
    .open = open,
    .close = close,
    .allocate = allocate,
    .release = release,
    .freeBytes = freeBytes,
    .write = copy,
    .read = copy,
    .kernel = kernel,
    .run = run,
    .finish = finish,
    .firstNonFinite = firstNonFinite,
    .record = nullptr,
    .recorded = nullptr,
    .replay = nullptr,
    .discard = nullptr,
    .choices = choices,
    .choose = choose,
};

}  // namespace
}  // namespace cpu

const Backend& cpuBackend() { return cpu::kBackend; }

}  // namespace tlora
