// Kernels with known mistakes, and their correct twins: what the emulator must find, and what it must let pass.
// One argument names the kernel; prints "ok" and its result, or what the emulator said.
#include <cstdio>
#include <cstring>

#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {
namespace {

constexpr int kThreads = 64;

// Element i of the other half of the block, through shared memory; `barrier` false forgets to wait.
__global__ void swapHalves(float* y, bool barrier) {
  waitForPrevious();
  TLORA_SHARED(float, tile, kThreads);
  tile[threadIdx.x] = float(threadIdx.x);
  if (barrier) __syncthreads();
  y[threadIdx.x] = tile[(threadIdx.x + kThreads / 2) % kThreads];
}

// As above within one warp; __syncwarp is enough there, and only there.
__global__ void swapNeighbours(float* y, int distance, bool barrier) {
  waitForPrevious();
  TLORA_SHARED(float, tile, kThreads);
  tile[threadIdx.x] = float(threadIdx.x);
  if (barrier) __syncwarp();
  y[threadIdx.x] = tile[threadIdx.x ^ unsigned(distance)];
}

// All threads write one element.
__global__ void sameElement(float* y) {
  waitForPrevious();
  TLORA_SHARED(float, tile, 1);
  tile[0] = float(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = tile[0];
}

// A second round overwrites what others may still read.
__global__ void rounds(float* y, bool barrier) {
  waitForPrevious();
  TLORA_SHARED(float, tile, kThreads);
  float sum = 0;
  for (int round = 0; round < 3; round++) {
    tile[threadIdx.x] = float(round);
    __syncthreads();
    sum += tile[kThreads - 1 - threadIdx.x];
    if (barrier) __syncthreads();
  }
  y[threadIdx.x] = sum;
}

__global__ void indexShared(float* y, int index) {
  waitForPrevious();
  TLORA_SHARED(float, tile, kThreads);
  TLORA_SHARED(float, other, kThreads);
  tile[threadIdx.x] = 1;
  other[threadIdx.x] = 2;
  __syncthreads();
  y[threadIdx.x] = tile[index];
}

__global__ void indexDynamic(float* y, int index) {
  waitForPrevious();
  TLORA_SHARED_DYNAMIC(float, tile);
  tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[index];
}

__global__ void unwritten(float* y) {
  waitForPrevious();
  TLORA_SHARED(float, tile, kThreads);
  if (threadIdx.x > 0) tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

// Half of the block never comes to the barrier.
__global__ void halfBarrier(float* y) {
  waitForPrevious();
  if (threadIdx.x < kThreads / 2) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void twoBarriers(float* y) {
  waitForPrevious();
  if (threadIdx.x < kThreads / 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}

__global__ void halfShuffle(float* y) {
  waitForPrevious();
  if (threadIdx.x % 2 == 0) y[threadIdx.x] = warpSum(1.0f);
}

__global__ void shuffleOutside(float* y) {
  waitForPrevious();
  if (threadIdx.x < 8) y[threadIdx.x] = __shfl_sync(0xff, float(threadIdx.x), 9);
}

// Threads of all blocks write the same places.
__global__ void sameGlobal(float* y) {
  waitForPrevious();
  y[threadIdx.x] = float(blockIdx.x);
}

// Block b reads what block b - 1 writes.
__global__ void chain(float* y) {
  waitForPrevious();
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = i < kThreads ? 1 : y[i - kThreads];
}

__global__ void past(float* y, int64_t by) {
  waitForPrevious();
  y[threadIdx.x + by] = 1;
}

__global__ void unaligned(float* y) {
  waitForPrevious();
  storePack(y + threadIdx.x * 4 + 1, Pack<float>{});
}

// Touches memory that the kernel before may still touch.
__global__ void hasty(float* y) {
  y[threadIdx.x] = 1;
  waitForPrevious();
}

// Half of the block ends without having waited.
__global__ void impatient(float* y) {
  if (threadIdx.x >= kThreads / 2) return;
  waitForPrevious();
  y[threadIdx.x] = 1;
}

// Correct: sums of a block, of a warp, and votes.
__global__ void sums(float* y) {
  waitForPrevious();
  const float all = blockSum(float(threadIdx.x)), most = blockMax(float(threadIdx.x));
  const unsigned odd = __ballot_sync(kFullMask, threadIdx.x % 2);
  y[threadIdx.x] = all + most + float(__popc(odd)) + __shfl_down_sync(kFullMask, 1.0f, 1);
}

// Correct: 8-byte values in segments of 8 lanes; the first lanes of each have nobody below.
__global__ void segments(float* y) {
  waitForPrevious();
  y[threadIdx.x] = float(__shfl_up_sync(kFullMask, int64_t{threadIdx.x} << 40, 2, 8) >> 40);
}

struct Device {
  cudaStream_t stream = nullptr;
  int multiprocessors = 1;
  bool dependentLaunches = false;
};

void run(const char* name, Device& d, float* y) {
  const auto is = [&](const char* other) { return strcmp(name, other) == 0; };
  if (is("swapHalves")) return launch(d, swapHalves, 1, kThreads, y, true);
  if (is("missing barrier")) return launch(d, swapHalves, 1, kThreads, y, false);
  if (is("swapNeighbours")) return launch(d, swapNeighbours, 1, kThreads, y, 1, true);
  if (is("missing warp barrier")) return launch(d, swapNeighbours, 1, kThreads, y, 1, false);
  if (is("warp barrier between warps")) return launch(d, swapNeighbours, 1, kThreads, y, 32, true);
  if (is("two writers")) return launch(d, sameElement, 1, kThreads, y);
  if (is("rounds")) return launch(d, rounds, 1, kThreads, y, true);
  if (is("overwritten while read")) return launch(d, rounds, 1, kThreads, y, false);
  if (is("shared out of bounds")) return launch(d, indexShared, 1, kThreads, y, kThreads);
  if (is("shared below bounds")) return launch(d, indexShared, 1, kThreads, y, -1);
  if (is("dynamic shared")) return launchShared(d, indexDynamic, 1, kThreads, kThreads * 4, y, kThreads - 1);
  if (is("dynamic shared out of bounds")) return launchShared(d, indexDynamic, 1, kThreads, kThreads * 4, y, kThreads);
  if (is("read before written")) return launch(d, unwritten, 1, kThreads, y);
  if (is("divergent barrier")) return launch(d, halfBarrier, 1, kThreads, y);
  if (is("two barriers")) return launch(d, twoBarriers, 1, kThreads, y);
  if (is("divergent shuffle")) return launch(d, halfShuffle, 1, kThreads, y);
  if (is("shuffle outside of the mask")) return launch(d, shuffleOutside, 1, kThreads, y);
  if (is("two blocks write")) return launch(d, sameGlobal, 2, kThreads, y);
  if (is("a block reads another's")) return launch(d, chain, 2, kThreads, y);
  if (is("global out of bounds")) return launch(d, past, 1, kThreads, y, int64_t{4096} - 1);
  if (is("unaligned")) return launch(d, unaligned, 1, 1, y);
  if (is("touched before waiting")) return launch(d, hasty, 1, kThreads, y);
  if (is("ended without waiting")) return launch(d, impatient, 1, kThreads, y);
  if (is("sums")) return launch(d, sums, 1, kThreads, y);
  if (is("segments")) return launch(d, segments, 1, kThreads, y);
  if (is("two launches")) {
    launch(d, sameGlobal, 1, kThreads, y);
    return launch(d, sameGlobal, 1, kThreads, y);
  }
  throw std::runtime_error(std::string("there is no planted kernel ") + name);
}

}  // namespace
}  // namespace tlora::cuda

// "host": touches device memory as the host must not. "captured": the same kernel through a recorded graph.
int main(int count, char** arguments) {
  const char* name = count > 1 ? arguments[1] : "";
  void* memory = nullptr;
  float result[64] = {};
  tlora::cuda::Device device;
  try {
    tlora::cuda::check(cudaStreamCreateWithFlags(&device.stream, 0), "stream");
    tlora::cuda::check(cudaMalloc(&memory, 4096 * sizeof(float)), "memory");
    if (strcmp(name, "host") == 0) {
      static_cast<volatile float*>(memory)[0] = 1;
    } else if (strcmp(name, "captured") == 0) {
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t exec = nullptr;
      tlora::cuda::check(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal), "capture");
      tlora::cuda::run("sums", device, static_cast<float*>(memory));
      tlora::cuda::check(cudaStreamEndCapture(device.stream, &graph), "capture");
      tlora::cuda::check(cudaGraphInstantiate(&exec, graph, 0), "graph");
      cudaMemsetAsync(memory, 0, sizeof result, device.stream);
      tlora::cuda::check(cudaGraphLaunch(exec, device.stream), "graph");
    } else {
      tlora::cuda::run(name, device, static_cast<float*>(memory));
    }
    cudaMemcpyAsync(result, memory, sizeof result, cudaMemcpyDeviceToHost, device.stream);
    tlora::cuda::check(cudaStreamSynchronize(device.stream), "finish");
    printf("ok %g %g %g\n", result[0], result[1], result[63]);
  } catch (const std::exception& error) {
    printf("%s\n", error.what());
  }
}
