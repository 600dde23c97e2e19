#include "runtime_api.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "heap.h"

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};

struct CUgraphExec_st {
  CUgraph_st graph;
};

struct CUstream_st {
  CUgraph_st* capture = nullptr;  // what is being recorded, if anything
  bool invalidated = false;       // something that cannot be recorded was asked for meanwhile
};

struct CUevent_st {
  double ms;
};

namespace tlora::emulated {

namespace {

size_t setting(const char* name, size_t otherwise) {
  const char* text = getenv(name);
  return text ? strtoull(text, nullptr, 10) : otherwise;
}

int deviceCount() { return static_cast<int>(setting("TLORA_EMULATED_DEVICES", 2)); }
size_t memoryBytes() { return setting("TLORA_EMULATED_MEMORY", size_t{4} << 30); }

thread_local int current = 0;
thread_local Stream* recorded = nullptr;  // that this thread captures

// As on a device, a thread that captures must not ask for what might wait for the device: the capture is lost then.
bool refusedByCapture() {
  if (recorded) recorded->invalidated = true;
  return recorded;
}

std::atomic<double> plantedClock{0};
double clockMs() {
  if (getenv("TLORA_EMULATED_TIMES")) return plantedClock;
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// As on a device, the first failure stays: everything after it fails alike, until the last stream is gone.
struct Process {
  std::mutex mutex;
  int streams = 0;
  bool failed = false;
  std::string why;
  std::map<void*, std::pair<int, size_t>> blocks;  // device and bytes of each
  std::map<int, size_t> used;
};
Process& process() {
  static Process* p = new Process;
  return *p;
}

void failed(const char* why) {
  const std::lock_guard lock(process().mutex);
  if (!process().failed) process().why = why;
  process().failed = true;
}

void perform(const std::function<void()>& work) {
  if (process().failed) return;
  try {
    const DeviceAccess access;
    work();
  } catch (const std::exception& error) {
    failed(error.what());
  }
}

cudaError_t state() { return process().failed ? cudaErrorLaunchFailure : cudaSuccess; }

}  // namespace

bool sampling() {
  static const bool flag = setting("TLORA_PTX_SAMPLE", 0) != 0;
  return flag;
}

void enqueue(Stream* stream, std::function<void()> work, bool kernel) {
  if (sampling() && !kernel) return;
  if (stream && stream->capture) {
    stream->capture->work.push_back(std::move(work));
  } else {
    perform(work);
  }
}

void pass(double ms) { plantedClock = plantedClock + ms; }

}  // namespace tlora::emulated

using namespace tlora::emulated;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorLaunchFailure: return process().why.c_str();
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    default: break;
  }
  return "unknown error";
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    default: return "an emulated error";
  }
}

cudaError_t cudaGetLastError() { return state(); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = deviceCount();
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= deviceCount()) return cudaErrorInvalidDevice;
  current = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device < 0 || device >= deviceCount()) return cudaErrorInvalidDevice;
  *p = {};
  snprintf(p->name, sizeof p->name, "Emulated device");
  p->totalGlobalMem = memoryBytes();
  p->sharedMemPerBlockOptin = 232448 - 1024;
  p->major = 9;
  p->multiProcessorCount = 4;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(process().mutex);
  *total = memoryBytes();
  *free = *total - process().used[current];
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (refusedByCapture()) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard lock(process().mutex);
  Process& p = process();
  *data = nullptr;
  if (bytes > memoryBytes() - p.used[current]) return cudaErrorMemoryAllocation;
  *data = allocateDevice(bytes);
  if (!*data) return cudaErrorMemoryAllocation;
  p.blocks[*data] = {current, bytes};
  p.used[current] += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (!data) return cudaSuccess;
  if (refusedByCapture()) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard lock(process().mutex);
  Process& p = process();
  const auto found = p.blocks.find(data);
  if (found == p.blocks.end()) return cudaErrorInvalidValue;
  p.used[found->second.first] -= found->second.second;
  p.blocks.erase(found);
  releaseDevice(static_cast<char*>(data));
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  if (refusedByCapture()) return cudaErrorStreamCaptureUnsupported;
  *data = malloc(bytes);
  return *data ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void* data) {
  free(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  enqueue(stream, [=] { memmove(to, from, bytes); });
  return state();
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, const void* from, size_t fromPitch, size_t width, size_t height,
                              cudaMemcpyKind, cudaStream_t stream) {
  enqueue(stream, [=] {
    for (size_t i = 0; i < height; i++) {
      memcpy(static_cast<char*>(to) + i * toPitch, static_cast<const char*>(from) + i * fromPitch, width);
    }
  });
  return state();
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { memset(to, value, bytes); });
  return state();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const std::lock_guard lock(process().mutex);
  process().streams++;
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream->capture;
  delete stream;
  const std::lock_guard lock(process().mutex);
  if (--process().streams == 0) process().failed = false;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capture) stream->invalidated = true;
  return stream->capture || refusedByCapture() ? cudaErrorStreamCaptureUnsupported : state();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  stream->capture = new CUgraph_st;
  stream->invalidated = getenv("TLORA_EMULATED_UNRECORDABLE") != nullptr;
  recorded = stream;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->capture || recorded != stream) return cudaErrorInvalidValue;
  recorded = nullptr;
  *graph = stream->capture;
  stream->capture = nullptr;
  if (!stream->invalidated) return cudaSuccess;
  delete *graph;
  *graph = nullptr;
  return cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = !stream->capture ? cudaStreamCaptureStatusNone
            : stream->invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{*graph};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (stream->capture) stream->invalidated = true;
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  for (const auto& work : exec->graph.work) enqueue(stream, work);
  return state();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->ms = clockMs();
  return state();
}

cudaError_t cudaEventSynchronize(cudaEvent_t) { return refusedByCapture() ? cudaErrorStreamCaptureUnsupported : state(); }

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  *ms = float(end->ms - start->ms);
  return state();
}
