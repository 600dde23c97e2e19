// The device's half of the CUDA runtime for the PTX machine: what nvcc's code registers when the library is loaded, and launches of it.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "../access_checks.h"
#include "assemble.h"
#include "machine.h"

namespace tlora::emulated {

bool checking() {
  static const bool flag = [] {
    const char* value = getenv("TLORA_EMULATE_CHECK");
    return value && *value && *value != '0';
  }();
  return flag;
}

void watchHeap(char*, size_t) {}
void watchAllocation(char*, size_t, bool) {}

}  // namespace tlora::emulated

namespace tlora::ptx {

namespace {

using emulated::Fault;

constexpr size_t kUnaskedShared = 48 * 1024, kMostShared = 227 * 1024;

// A fatbinary as nvcc -no-compress leaves it: a header, then entries, of which one is PTX text.
struct FatWrapper {
  uint32_t magic, version;
  const char* data;
  void* unused;
};
struct FatHeader {
  uint32_t magic;
  uint16_t version, headerBytes;
  uint64_t bytes;
};
struct FatEntry {
  uint16_t kind, version;
  uint32_t headerBytes;
  uint64_t bytes;
};
constexpr uint16_t kPtx = 1;

std::string ptxOf(const FatWrapper& wrapper) {
  FatHeader header;
  memcpy(&header, wrapper.data, sizeof header);
  const char* at = wrapper.data + header.headerBytes;
  const char* end = at + header.bytes;
  while (at < end) {
    FatEntry entry;
    memcpy(&entry, at, sizeof entry);
    const char* text = at + entry.headerBytes;
    if (entry.kind == kPtx) {
      const std::string out(text, strnlen(text, entry.bytes));
      if (out.find(".version") == std::string::npos) throw std::runtime_error("the PTX is compressed: nvcc needs -no-compress");
      return out;
    }
    at = text + entry.bytes;
  }
  throw std::runtime_error("a fatbinary without PTX: nvcc needs -gencode arch=compute_90,code=compute_90");
}

struct Binary {
  const FatWrapper* wrapper;
  std::unique_ptr<Module> module;
};

struct Entry {
  Binary* binary;
  std::string name;
  size_t askedShared = 0;
};

std::recursive_mutex mutex;
std::deque<Binary>& binaries() {
  static auto* all = new std::deque<Binary>;
  return *all;
}
std::map<const void*, Entry>& entries() {
  static auto* all = new std::map<const void*, Entry>;
  return *all;
}

Module& moduleOf(Binary& binary) {
  if (!binary.module) binary.module = std::make_unique<Module>(ptxOf(*binary.wrapper));
  return *binary.module;
}

std::string text(const dim3& d) { return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z); }

// What a device of compute capability 9.0 refuses (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
void checkLimits(const Launch& l, size_t asked) {
  const Kernel& kernel = *l.kernel;
  const auto refuse = [&](const std::string& why) { throw Fault("kernel " + kernel.name + ": " + why); };
  if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0 || l.grid.x > INT32_MAX || l.grid.y > 65535 || l.grid.z > 65535) refuse("a grid of " + text(l.grid) + " blocks");
  const uint64_t threads = uint64_t{l.block.x} * l.block.y * l.block.z;
  if (threads == 0 || threads > 1024 || l.block.x > 1024 || l.block.y > 1024 || l.block.z > 64) refuse("a block of " + text(l.block) + " threads");
  if (threads > kernel.maxThreads) refuse("a block of " + std::to_string(threads) + " threads, but .maxntid allows " + std::to_string(kernel.maxThreads));
  const unsigned* required = kernel.requiredThreads;
  if (required[0] && (l.block.x != required[0] || l.block.y != required[1] || l.block.z != required[2])) refuse("a block of " + text(l.block) + " threads, but .reqntid asks for others");
  const size_t shared = kernel.staticShared + l.sharedBytes;
  if (shared > kMostShared) refuse(std::to_string(shared) + " bytes of shared memory; a block can have " + std::to_string(kMostShared));
  if (shared > kUnaskedShared && l.sharedBytes > asked) refuse(std::to_string(shared) + " bytes of shared memory, but cudaFuncSetAttribute asked for " + std::to_string(asked));
}

// TLORA_PTX_SAMPLE=1: of a launch only its first block, its last and one between, and of launches of one kernel with one grid only three;
// no copies, and nothing of the libraries. Memory is all zeros then: what a large plan's kernels reach for is checked, not what they compute.
void runSample(const Launch& launch) {
  static std::map<std::tuple<const Kernel*, unsigned, unsigned, unsigned>, int> seen;
  if (seen[{launch.kernel, launch.grid.x, launch.grid.y, launch.grid.z}]++ >= 3) return;
  Block block(launch);
  const dim3& g = launch.grid;
  block.run(0, 0, 0);
  block.run(g.x / 2, g.y / 2, g.z / 2);
  block.run(g.x - 1, g.y - 1, g.z - 1);
}

void runAll(const Launch& launch, size_t asked) {
  checkLimits(launch, asked);
  if (emulated::sampling()) return runSample(launch);
  Block block(launch);
  for (unsigned z = 0; z < launch.grid.z; z++) {
    for (unsigned y = 0; y < launch.grid.y; y++) {
      for (unsigned x = 0; x < launch.grid.x; x++) block.run(x, y, z);
    }
  }
}

Launch describe(const cudaLaunchConfig_t& config, const Kernel& kernel, const Module& module, void** arguments) {
  Launch out;
  out.kernel = &kernel;
  out.module = &module;
  out.grid = config.gridDim;
  out.block = config.blockDim;
  out.sharedBytes = config.dynamicSmemBytes;
  for (unsigned i = 0; i < config.numAttrs; i++) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    if (attribute.id == cudaLaunchAttributeProgrammaticStreamSerialization) out.dependent = attribute.val.programmaticStreamSerializationAllowed != 0;
    else throw Fault("kernel " + kernel.name + ": the machine does not know launch attribute " + std::to_string(int(attribute.id)));
  }
  // Behind the parameters lie bytes that a kernel may not count on.
  out.parameters.assign(kernel.parameterBytes + 16, char(0xff));
  for (size_t i = 0; i < kernel.parameters.size(); i++) memcpy(out.parameters.data() + kernel.parameters[i].offset, arguments[i], kernel.parameters[i].bytes);
  return out;
}

}  // namespace

}  // namespace tlora::ptx

using namespace tlora::ptx;

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  const std::lock_guard lock(mutex);
  binaries().push_back({static_cast<const FatWrapper*>(wrapper), nullptr});
  return reinterpret_cast<void**>(&binaries().back());
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void** binary, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  const std::lock_guard lock(mutex);
  entries()[host] = {reinterpret_cast<Binary*>(binary), name, 0};
}

// Nothing in native/cuda copies to or from a module's variables; kernels find them in their own module.
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

// Kernels are never started with <<<>>>.
unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, struct CUstream_st*) { return unsigned(cudaErrorNotSupported); }
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) { return cudaErrorNotSupported; }
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) { return cudaErrorNotSupported; }
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t) { return cudaErrorNotSupported; }

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const std::lock_guard lock(mutex);
  const auto found = entries().find(function);
  if (found == entries().end()) return cudaErrorInvalidDeviceFunction;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0) return cudaErrorInvalidValue;
  try {
    const Kernel& kernel = moduleOf(*found->second.binary).kernel(found->second.name);
    if (size_t(value) + kernel.staticShared > kMostShared) return cudaErrorInvalidValue;
  } catch (const std::exception&) {
    return cudaSuccess;  // the launch says what the machine does not know
  }
  found->second.askedShared = size_t(value);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  const std::lock_guard lock(mutex);
  const auto found = entries().find(function);
  if (found == entries().end()) return cudaErrorInvalidDeviceFunction;
  try {
    Module& module = moduleOf(*found->second.binary);
    const Kernel& kernel = module.kernel(found->second.name);
    *attributes = {};
    attributes->sharedSizeBytes = kernel.staticShared;
    attributes->localSizeBytes = kernel.localBytes;
    attributes->maxThreadsPerBlock = int(kernel.maxThreads);
    attributes->maxDynamicSharedSizeBytes = int(found->second.askedShared ? found->second.askedShared : kUnaskedShared - kernel.staticShared);
    attributes->ptxVersion = attributes->binaryVersion = module.target();
    return cudaSuccess;
  } catch (const std::exception&) {
    return cudaErrorInvalidDeviceFunction;
  }
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  const std::lock_guard lock(mutex);
  const auto found = entries().find(function);
  if (found == entries().end()) return cudaErrorInvalidDeviceFunction;
  try {
    Module& module = moduleOf(*found->second.binary);
    auto launch = std::make_shared<Launch>(describe(*config, module.kernel(found->second.name), module, arguments));
    tlora::emulated::enqueue(config->stream, [launch, asked = found->second.askedShared] { runAll(*launch, asked); }, true);
  } catch (const std::exception& error) {
    tlora::emulated::enqueue(config->stream, [why = std::string(error.what())] { throw tlora::emulated::Fault(why); }, true);
  }
  return cudaGetLastError();
}

}  // extern "C"
