// Kernels whose results, or mistakes, are known from the PTX ISA: the machine's own test. One argument names the kernel; prints "ok" and what
// the kernel wrote that is not zero, as place:value, or what the machine said.
#include <cstdio>
#include <cstring>
#include <string>

#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/tensorCore.h"

namespace tlora::cuda {
namespace {

struct Device {
  cudaStream_t stream = nullptr;
  int multiprocessors = 1;
  bool dependentLaunches = false;
};

__device__ unsigned lane() { return threadIdx.x % 32; }

// One element of A and one of B are 1, all others 0; c_i of a lane counts i + 1.
__global__ void mmaProbe(float* y, unsigned laneA, int registerA, int halfA, unsigned laneB, int registerB, int halfB) {
  uint32_t a[4] = {}, b[2] = {};
  constexpr uint32_t one = 0x3f80;  // bfloat16
  for (int r = 0; r < 4; r++) a[r] = lane() == laneA && r == registerA ? one << (16 * halfA) : 0;
  for (int r = 0; r < 2; r++) b[r] = lane() == laneB && r == registerB ? one << (16 * halfB) : 0;
  float c0 = 0, c1 = 0, c2 = 0, c3 = 0;
  mma<bf16>(c0, c1, c2, c3, a, b[0], b[1]);
  y[lane()] = c0 + 2 * c1 + 3 * c2 + 4 * c3;
}

// Element n of the shared tile is n + 1: register m of a lane becomes y[4 lane + m], its high half 1000 times.
__global__ void matricesProbe(float* y, bool transposed, int shift) {
  TLORA_SHARED(uint16_t, tile, 4 * 64 + 8);
  for (unsigned i = lane(); i < 4 * 64; i += 32) tile[i] = uint16_t(i + 1);
  __syncwarp();
  uint32_t r[4];
  if (transposed) loadMatricesTransposed(r, tile, int(lane()) * 8 + shift);
  else loadMatrices(r, tile, int(lane()) * 8 + shift);
  for (int m = 0; m < 4; m++) y[4 * lane() + m] = float(r[m] & 0xffff) + 1000.0f * float(r[m] >> 16);
}

// Each thread brings 16 bytes twice; `waits`: the newest groups that may be under way when it reads the second.
__global__ void copies(float* y, const float* x, int waits, bool valid) {
  TLORA_SHARED(float, tile, 2 * 32 * 4);
  copyAsync(tile, int(lane()) * 4, x + lane() * 4, true);
  commitCopies();
  copyAsync(tile, 128 + int(lane()) * 4, valid ? x + lane() * 4 : nullptr, valid);
  commitCopies();
  if (waits == 0) waitCopies<0>();
  if (waits == 1) waitCopies<1>();
  y[lane()] = tile[128 + lane() * 4];
}

__global__ void dynamicShared(float* y) {
  TLORA_SHARED_DYNAMIC(float, tile);
  tile[threadIdx.x] = 1;
  y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void __launch_bounds__(64) bounded(float* y) { y[threadIdx.x] = 1; }

__global__ void uninitialised(float* y) {
  float sum;
  asm("{ .reg .f32 t; add.f32 %0, t, %1; }" : "=f"(sum) : "f"(1.0f));
  y[threadIdx.x] = sum;
}

// What no instruction has written is stored by no lane, or taken because of it.
__global__ void unwrittenNotStored(float* y, uint32_t zero) {
  y[threadIdx.x] = 1;
  asm volatile("{ .reg .f32 t; .reg .pred p; setp.ne.u32 p, %1, 0; @p st.global.f32 [%0], t; }" ::"l"(y + threadIdx.x), "r"(zero) : "memory");
}

__global__ void unwrittenChoice(float* y) {
  float value;
  asm("{ .reg .pred p; selp.f32 %0, %1, %2, p; }" : "=f"(value) : "f"(1.0f), "f"(2.0f));
  y[threadIdx.x] = value;
}

__global__ void unwrittenGuard(float* y) { asm volatile("{ .reg .pred p; @p st.global.f32 [%0], 0f3F800000; }" ::"l"(y + threadIdx.x) : "memory"); }

__device__ float initial = 1.5f;

__global__ void variables(float* y) { y[threadIdx.x] = initial; }

// The last bytes that an address can name, whose end is 0 again.
__global__ void wrappedShared(float* y) {
  TLORA_SHARED(float, tile, 32);
  tile[lane()] = 7;
  float value;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "l"(~uint64_t{3}) : "memory");
  y[lane()] = value + tile[31 - lane()];
}

__global__ void wrappedLocal(float* y) {
  float value;
  asm volatile("ld.local.f32 %0, [%1];" : "=f"(value) : "l"(~uint64_t{3}) : "memory");
  y[lane()] = value;
}

__global__ void dependent(float* y, bool waits) {
  if (waits) asm volatile("griddepcontrol.wait;" ::: "memory");
  y[threadIdx.x] = 1;
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Halves of the warp exchange from two places.
__global__ void shuffleApart(float* y) {
  float value = float(lane());
  if (lane() < 16) {
    value = __shfl_xor_sync(0xffffffffu, value * 2, 16) + 100;
    y[lane()] = value;
  } else {
    value = __shfl_xor_sync(0xffffffffu, value * 3, 16) + 200;
    y[lane()] = value / 2;
  }
}

__global__ void barrierApart(float* y) {
  if (lane() < 16) asm volatile("bar.sync 0; // the first" ::: "memory");
  else asm volatile("bar.sync 0; // the second" ::: "memory");
  y[threadIdx.x] = 1;
}

__global__ void unknown(float* y) {
  int value = 0;
  asm volatile("dp4a.s32.s32 %0, %1, %1, %1;" : "=r"(value) : "r"(int(threadIdx.x)));
  y[threadIdx.x] = float(value);
}

__global__ void divideByZero(float* y, int by) { y[threadIdx.x] = float(int(threadIdx.x) / by); }

// Local memory, and generic addresses of three spaces.
__global__ void spaces(float* y, int which) {
  TLORA_SHARED(float, tile, 32);
  float own[32];
  for (int i = 0; i < 32; i++) own[i] = float(i + int(lane()) * which);
  tile[lane()] = 7;
  y[lane()] = 5;
  float* at = which == 0 ? own : which == 1 ? &tile[0] : y;
  asm volatile("" : "+l"(at));
  float value;
  asm volatile("ld.f32 %0, [%1];" : "=f"(value) : "l"(at + lane()) : "memory");
  y[lane()] = value + own[(which + lane()) % 32];
}

template <class T>
__device__ T bitsAs(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Single instructions at values where they differ from their neighbours; 1 for each that is as the ISA says.
__global__ void numbers(float* y, uint32_t one) {
  if (threadIdx.x != 0) return;
  int n = 0;
  const auto expect = [&](bool right) { y[n++] = right ? 1.0f : -1.0f; };
  const float unit = float(one), tiny = bitsAs<float>(one), nan = bitsAs<float>(0x7fc00000u * one), huge = 3e38f * unit;
  float f;
  uint16_t h;
  int i;
  long long l;
  double d;
  asm("fma.rm.f32 %0, %1, %1, %2;" : "=f"(f) : "f"(unit), "f"(-0x1p-60f * unit));
  expect(f == 0x1.fffffep-1f);
  asm("fma.rn.f32 %0, %1, %1, %2;" : "=f"(f) : "f"(1 + 0x1p-23f * unit), "f"(-1 - 0x1p-22f * unit));
  expect(f == 0x1p-46f);
  asm("ex2.approx.f32 %0, %1;" : "=f"(f) : "f"(-140.0f * unit));
  expect(f == 0x1p-140f);
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(f) : "f"(-140.0f * unit));
  expect(f == 0.0f);
  asm("ex2.approx.f32 %0, %1;" : "=f"(f) : "f"(0.5f * unit));
  expect(f == 0x1.6a09e6p0f);
  asm("max.f32 %0, %1, %2;" : "=f"(f) : "f"(nan), "f"(-unit));
  expect(f == -1.0f);
  asm("cvt.sat.f32.f32 %0, %1;" : "=f"(f) : "f"(nan));
  expect(f == 0.0f);
  asm("cvt.rni.f32.f32 %0, %1;" : "=f"(f) : "f"(2.5f * unit));
  expect(f == 2.0f);
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(1 + 0x1p-11f * unit));
  expect(h == 0x3c00);
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(1 + 0x1.8p-10f * unit));
  expect(h == 0x3c02);
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(-0x1.8p-24f * unit));
  expect(h == 0x8002);
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(65520.0f * unit));
  expect(h == 0x7c00);
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(nan));
  expect(h == 0x7fff);
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(uint16_t(3 * one)));
  expect(f == 0x1.8p-23f);
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(1 + 0x1p-8f * unit));
  expect(h == 0x3f80);
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(huge * 1.134f));
  expect(h == 0x7f80);
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(nan));
  expect(h == 0x7fff);
  asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(i) : "f"(huge));
  expect(i == 0x7fffffff);
  asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(i) : "f"(nan));
  expect(i == 0);
  asm("cvt.rzi.s64.f32 %0, %1;" : "=l"(l) : "f"(nan));
  expect(l == INT64_MIN);
  asm("cvt.s32.s8 %0, %1;" : "=r"(i) : "r"(0x180 * int(one)));
  expect(i == -128);
  asm("shl.b32 %0, %1, %2;" : "=r"(i) : "r"(one), "r"(32 * one));
  expect(i == 0);
  asm("shr.s32 %0, %1, %2;" : "=r"(i) : "r"(-int(one)), "r"(99 * one));
  expect(i == -1);
  asm("div.s32 %0, %1, %2;" : "=r"(i) : "r"(-7 * int(one)), "r"(2 * one));
  expect(i == -3);
  asm("{ .reg .u32 low; add.cc.u32 low, %1, %1; addc.u32 %0, %2, 0; }" : "=r"(i) : "r"(0x80000000u * one), "r"(one));
  expect(i == 2);
  asm("{ .reg .u32 low; sub.cc.u32 low, %1, %2; subc.u32 %0, %2, 0; }" : "=r"(i) : "r"(one - 1), "r"(one));
  expect(i == 0);
  asm("copysign.f32 %0, %1, %2;" : "=f"(f) : "f"(-2.0f * unit), "f"(3.0f * unit));
  expect(f == -3.0f);
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(d) : "d"(3.0 * one));
  expect(d == bitsAs<double>(0x3fd5555500000000u));
  asm("add.f32 %0, %1, %1;" : "=f"(f) : "f"(tiny));
  expect(f == 0x1p-148f);
}

// Lane l reads l + 2, in segments of 8; those without such a lane read their own, and say so.
__global__ void shuffleEdges(float* y) {
  int value, inside;
  asm volatile("{ .reg .pred p; shfl.sync.down.b32 %0|p, %2, 2, 0x1807, -1; selp.s32 %1, 100, 0, p; }" : "=r"(value), "=r"(inside) : "r"(lane()));
  y[lane()] = float(value + inside);
}

void launchDependent(Device& d, float* y, bool waits) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = 1;
  config.blockDim = 32;
  config.stream = d.stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* arguments[] = {&y, &waits};
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(dependent), arguments), "launch");
}

void launchUnasked(Device& d, float* y, size_t bytes) {
  cudaLaunchConfig_t config{};
  config.gridDim = 1;
  config.blockDim = 32;
  config.stream = d.stream;
  config.dynamicSmemBytes = bytes;
  void* arguments[] = {&y};
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(dynamicShared), arguments), "launch");
}

void run(const std::string& name, Device& d, float* y) {
  if (name == "mma 1") return launch(d, mmaProbe, 1, 32, y, 6u, 2, 0, 14u, 1, 0);
  if (name == "mma 2") return launch(d, mmaProbe, 1, 32, y, 6u, 1, 1, 30u, 0, 1);
  if (name == "matrices") return launch(d, matricesProbe, 1, 32, y, false, 0);
  if (name == "matrices transposed") return launch(d, matricesProbe, 1, 32, y, true, 0);
  if (name == "matrices not aligned") return launch(d, matricesProbe, 1, 32, y, false, 4);
  if (name == "copies") return launch(d, copies, 1, 32, y, y + 2048, 0, true);
  if (name == "copies of nothing") return launch(d, copies, 1, 32, y, y + 2048, 0, false);
  if (name == "copies not awaited") return launch(d, copies, 1, 32, y, y + 2048, 1, true);
  if (name == "copies from outside") return launch(d, copies, 1, 32, y, y + 4096 - 64, 0, true);
  if (name == "much shared memory") return launchShared(d, dynamicShared, 1, 32, 100000, y);
  if (name == "shared memory not asked for") return launchUnasked(d, y, 50000);
  if (name == "too much shared memory") return launchUnasked(d, y, 240000);
  if (name == "bounded") return launch(d, bounded, 1, 64, y);
  if (name == "too many threads") return launch(d, bounded, 1, 128, y);
  if (name == "uninitialised") return launch(d, uninitialised, 1, 32, y);
  if (name == "unwritten, not stored") return launch(d, unwrittenNotStored, 1, 32, y, 0u);
  if (name == "unwritten choice") return launch(d, unwrittenChoice, 1, 32, y);
  if (name == "unwritten guard") return launch(d, unwrittenGuard, 1, 32, y);
  if (name == "variables") return launch(d, variables, 1, 32, y);
  if (name == "shared memory at the end of all addresses") return launch(d, wrappedShared, 1, 32, y);
  if (name == "local memory at the end of all addresses") return launch(d, wrappedLocal, 1, 32, y);
  if (name == "part of a warp") return launch(d, mmaProbe, 1, 16, y, 6u, 2, 0, 14u, 1, 0);
  if (name == "dependent") return launchDependent(d, y, true);
  if (name == "dependent, not waiting") return launchDependent(d, y, false);
  if (name == "shuffles in two places") return launch(d, shuffleApart, 1, 32, y);
  if (name == "barriers in two places") return launch(d, barrierApart, 1, 32, y);
  if (name == "unknown instruction") return launch(d, unknown, 1, 32, y);
  if (name == "division by zero") return launch(d, divideByZero, 1, 32, y, 0);
  if (name == "local") return launch(d, spaces, 1, 32, y, 0);
  if (name == "generic shared") return launch(d, spaces, 1, 32, y, 1);
  if (name == "generic global") return launch(d, spaces, 1, 32, y, 2);
  if (name == "numbers") return launch(d, numbers, 1, 32, y, 1u);
  if (name == "shuffle edges") return launch(d, shuffleEdges, 1, 32, y);
  throw std::runtime_error("there is no planted kernel " + name);
}

}  // namespace
}  // namespace tlora::cuda

int main(int count, char** arguments) {
  using tlora::cuda::check;
  constexpr int kFloats = 4096;
  static float values[kFloats];
  tlora::cuda::Device device;
  void* memory = nullptr;
  try {
    check(cudaStreamCreateWithFlags(&device.stream, 0), "stream");
    check(cudaMalloc(&memory, sizeof values), "memory");
    for (int i = 0; i < kFloats; i++) values[i] = i < 2048 ? 0.0f : float(i - 2048);
    check(cudaMemcpyAsync(memory, values, sizeof values, cudaMemcpyHostToDevice, device.stream), "copy");
    tlora::cuda::run(count > 1 ? arguments[1] : "", device, static_cast<float*>(memory));
    check(cudaMemcpyAsync(values, memory, sizeof values, cudaMemcpyDeviceToHost, device.stream), "copy");
    check(cudaStreamSynchronize(device.stream), "finish");
    printf("ok");
    for (int i = 0; i < 2048; i++) {
      if (values[i] != 0) printf(" %d:%g", i, values[i]);
    }
    printf("\n");
  } catch (const std::exception& error) {
    printf("%s\n", error.what());
  }
}
