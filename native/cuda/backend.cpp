// A CUDA device as a backend: one stream, on which copies, ops and recordings follow each other.
// Every function may be called from another thread than the last, so each first makes the device current.
#include "core/backend.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "context.h"
#include "dependents.h"
#include "libraries.h"
#include "nonFinite.h"
#include "staging.h"
#include "trials.h"

namespace tlora {
namespace cuda {

#define TLORA_OP(name, ...) void name(const Call&, Context&);
#define TLORA_CUDA_OP(...) TLORA_OP(__VA_ARGS__)
#include "core/ops.def"
#undef TLORA_OP

namespace {

struct OpEntry {
  const char* name;
  Op op;
};

constexpr OpEntry kOps[] = {
#define TLORA_OP(name, ...) {#name, name},
#define TLORA_CUDA_OP(...) TLORA_OP(__VA_ARGS__)
#include "core/ops.def"
#undef TLORA_OP
};

// A stream's own calls may fail later than they are queued; what one says is passed on as it is.
struct Cuda {
  Host host;
  int device = 0;
  Context context;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<Stopwatch> stopwatch;
  cudaEvent_t before = nullptr, after = nullptr;

  void use() const { check(cudaSetDevice(device), "choosing the device"); }
  ~Cuda() {
    if (context.stream) cudaStreamSynchronize(context.stream);
    if (context.libraries) closeLibraries(context.libraries);
    staging.reset();
    stopwatch.reset();
    if (before) cudaEventDestroy(before);
    if (after) cudaEventDestroy(after);
    if (context.workspace) cudaFree(context.workspace);
    if (context.attention) cudaFree(context.attention);
    if (context.stream) cudaStreamDestroy(context.stream);
  }
};

void explain(Reason& reason, const char* text) { snprintf(reason.text, sizeof reason.text, "%s", text); }

// Runs `body` with the device current. false: it threw, and the reason says what.
template <class Body>
bool on(const Cuda& cuda, Reason& reason, Body body) {
  try {
    cuda.use();
    body();
    return true;
  } catch (const std::bad_alloc&) {
    explain(reason, "not enough memory of the host");
  } catch (const std::exception& error) {
    explain(reason, error.what());
  } catch (...) {
    explain(reason, "something was thrown that is not an exception");
  }
  return false;
}

// Which CUDA the driver is made for and which this build needs; the driver's is 0 where there is none.
std::string driverText() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (driver == 0) return "no NVIDIA driver that works was found";
  return "the NVIDIA driver is for CUDA " + version(driver) + ", this build needs " + version(runtime) + ": update the driver";
}

int devices(Reason& reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaSuccess && count > 0) return count;
  explain(reason, (status == cudaErrorInsufficientDriver ? driverText() : meaning(status == cudaSuccess ? cudaErrorNoDevice : status)).c_str());
  return 0;
}

// Makes no context on the device.
bool describe(int index, DeviceFacts& facts, Reason& reason) {
  cudaDeviceProp properties;
  const cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status != cudaSuccess) {
    cudaGetLastError();
    explain(reason, meaning(status).c_str());
    return false;
  }
  snprintf(facts.name, sizeof facts.name, "%s", properties.name);
  facts.memoryBytes = properties.totalGlobalMem;
  facts.workspaceBytes = kDeviceWorkspaceBytes;
  facts.major = properties.major;
  facts.minor = properties.minor;
  return true;
}

void* open(const Host& host, const DeviceOptions& options, Reason& reason) {
  auto cuda = std::make_unique<Cuda>();
  cuda->host = host;
  cuda->device = options.index;
  const bool opened = on(*cuda, reason, [&] {
    Context& context = cuda->context;
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, options.index), "asking for the device's properties");
    if (properties.major < 8) fail(kDevice, "compute capability: expected 8.0 or newer, got %d.%d", properties.major, properties.minor);
    context.multiprocessors = properties.multiProcessorCount;
    context.capability = 10 * properties.major + properties.minor;
    context.sharedBytes = properties.sharedMemPerBlockOptin;
    context.tf32 = options.tf32;
    context.dependentLaunches = dependentLaunches(context.capability);
    check(cudaStreamCreateWithFlags(&context.stream, cudaStreamNonBlocking), "making a stream");
    check(cudaMalloc(&context.workspace, kDeviceWorkspaceBytes), "the workspace");
    context.workspaceBytes = kDeviceWorkspaceBytes;
    if (options.attentionBytes > 0) check(cudaMalloc(&context.attention, options.attentionBytes), "the memory for attention");
    context.attentionBytes = options.attentionBytes;
    check(cudaEventCreateWithFlags(&cuda->before, 0), "making an event");
    check(cudaEventCreateWithFlags(&cuda->after, 0), "making an event");
    cuda->staging = std::make_unique<Staging>(context.stream);
    context.libraries = openLibraries(context.stream);
    if (options.trialMs > 0) cuda->stopwatch = std::make_unique<Stopwatch>(context.stream, options.trialMs);
    context.stopwatch = cuda->stopwatch.get();
  });
  return opened ? cuda.release() : nullptr;
}

Cuda& of(void* self) { return *static_cast<Cuda*>(self); }

void close(void* self) {
  Reason ignored;
  on(of(self), ignored, [] {});
  delete &of(self);
}

void* allocate(void* self, size_t bytes) {
  void* data = nullptr;
  Reason ignored;
  const bool done = on(of(self), ignored, [&] {
    check(cudaMalloc(&data, bytes > 0 ? bytes : 1), "memory");
    check(cudaMemsetAsync(data, 0, bytes, of(self).context.stream), "clearing memory");
  });
  if (done) return data;
  cudaGetLastError();  // a failed allocation is not a failed device
  if (data) cudaFree(data);
  return nullptr;
}

void release(void* self, void* data, size_t) {
  Reason ignored;
  on(of(self), ignored, [&] {
    cudaStreamSynchronize(of(self).context.stream);
    check(cudaFree(data), "freeing memory");
  });
}

size_t freeBytes(void* self) {
  size_t free = 0, total = 0;
  Reason ignored;
  on(of(self), ignored, [&] { check(cudaMemGetInfo(&free, &total), "free memory"); });
  return free;
}

bool write(void* self, void* to, const void* from, size_t bytes) {
  Reason ignored;
  return on(of(self), ignored, [&] { of(self).staging->write(to, from, bytes); });
}

bool read(void* self, void* to, const void* from, size_t bytes) {
  Reason ignored;
  return on(of(self), ignored, [&] {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, of(self).context.stream), "copy from the device");
    check(cudaStreamSynchronize(of(self).context.stream), "copy from the device");
  });
}

const void* kernel(const char* op) {
  for (const OpEntry& entry : kOps) {
    if (strcmp(entry.name, op) == 0) return &entry;
  }
  return nullptr;
}

// Queues work; with `ms`, between two events, and waits for the second.
template <class Work>
void timed(const Cuda& cuda, double* ms, Work work) {
  if (!ms) return work();
  check(cudaEventRecord(cuda.before, cuda.context.stream), "timing a call");
  work();
  check(cudaEventRecord(cuda.after, cuda.context.stream), "timing a call");
  check(cudaEventSynchronize(cuda.after), "waiting for a call");
  float elapsed = 0;
  check(cudaEventElapsedTime(&elapsed, cuda.before, cuda.after), "timing a call");
  *ms = elapsed;
}

bool run(void* self, const void* kernel, const Call& call, double* ms, Reason& reason) {
  Cuda& cuda = of(self);
  return on(cuda, reason, [&] { timed(cuda, ms, [&] { static_cast<const OpEntry*>(kernel)->op(call, cuda.context); }); });
}

bool finish(void* self, Reason& reason) {
  return on(of(self), reason, [&] { check(cudaStreamSynchronize(of(self).context.stream), "the device failed"); });
}

bool firstNonFinite(void* self, const Tensor& tensor, int64_t& index, Reason& reason) {
  index = -1;
  if (tensor.dtype == DType::i32) return true;
  Cuda& cuda = of(self);
  int64_t found = INT64_MAX;
  return on(cuda, reason, [&] {
    findNonFinite(tensor, cuda.context);
    check(cudaMemcpyAsync(&found, cuda.context.workspace, sizeof found, cudaMemcpyDeviceToHost, cuda.context.stream), "reading");
    check(cudaStreamSynchronize(cuda.context.stream), "looking for values that are not finite");
    if (found != INT64_MAX) index = found;
  });
}

// Other threads may call CUDA meanwhile, so only this thread is held to what a capture allows.
bool record(void* self, Reason& reason) {
  return on(of(self), reason, [&] {
    check(cudaStreamBeginCapture(of(self).context.stream, cudaStreamCaptureModeThreadLocal), "recording");
  });
}

void* recorded(void* self, Reason& reason) {
  cudaGraphExec_t exec = nullptr;
  on(of(self), reason, [&] {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(of(self).context.stream, &graph), "recording");
    const cudaError_t status = cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "making a graph of the recording");
  });
  return exec;
}

bool replay(void* self, void* recording, double* ms, Reason& reason) {
  Cuda& cuda = of(self);
  return on(cuda, reason, [&] {
    timed(cuda, ms, [&] { check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), cuda.context.stream), "replaying a recording"); });
  });
}

void discard(void* self, void* recording) {
  Reason ignored;
  on(of(self), ignored, [&] {
    cudaStreamSynchronize(of(self).context.stream);
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(recording));
  });
}

size_t choices(void* self, char* text, size_t room) {
  const std::string all = exportChoices(*of(self).context.libraries);
  if (all.size() < room) memcpy(text, all.c_str(), all.size() + 1);
  return all.size() + 1;
}

bool choose(void* self, const char* text, bool suggestions, Reason& reason) {
  return importChoices(*of(self).context.libraries, text, suggestions, reason);
}

constexpr Backend kBackend = {
    .abi = kBackendAbi,
    .name = "cuda",
    .panel = 1,
    .hostVisible = false,
    .devices = devices,
    .describe = describe,
    .open = open,
    .close = close,
    .allocate = allocate,
    .release = release,
    .freeBytes = freeBytes,
    .write = write,
    .read = read,
    .kernel = kernel,
    .run = run,
    .finish = finish,
    .firstNonFinite = firstNonFinite,
    .record = record,
    .recorded = recorded,
    .replay = replay,
    .discard = discard,
    .choices = choices,
    .choose = choose,
};

}  // namespace
}  // namespace cuda
}  // namespace tlora

extern "C" __attribute__((visibility("default"))) const tlora::Backend* tlora_backend_get(uint32_t abi) {
  return abi == tlora::kBackendAbi ? &tlora::cuda::kBackend : nullptr;
}
