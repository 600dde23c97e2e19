// Times tlora's two ways of a 3x3 convolution with a frozen float16 weight. Reads requests from standard input, a line each:
//   <side> <channels> <outs> <forward|data> <direct|winograd>
// and answers each with the seconds of one run: processor time for one thread, by the clock for several. The memory and a
// first run of each way are prepared when the shape changes.
//   tlora-bench-conv <threads>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/gemm.h"
#include "cpu/simd.h"
#include "cpu/winograd.h"

namespace {

using namespace tlora;

constexpr int64_t kTurned[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};

double now(int threads) {
  timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// One convolution [side, side, from] -> [side, side, to]; `data`: the gradient of one with `outs` outputs.
struct Convolution {
  int64_t side, channels, outs;
  bool data;
  std::vector<float> x, y;
  std::vector<uint16_t> weight;
  PackedMatrix packed{};
  Tensor frozen{};

  Convolution(int64_t side, int64_t channels, int64_t outs, bool data)
      : side(side), channels(channels), outs(outs), data(data), x(side * side * from()), y(side * side * to()),
        weight((outs + kPanel - 1) / kPanel * kPanel * 9 * channels) {
    uint32_t state = 1;
    const auto random = [&] { return state = state * 1664525u + 1013904223u; };
    for (float& v : x) v = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31f;
    for (uint16_t& bits : weight) bits = static_cast<uint16_t>((random() >> 16 & 0x8fff) | 0x2000);  // +-(0.008 .. 0.03)
    packed = {weight.data(), DType::f16, outs, 9 * channels};
    frozen.packed = &packed;
  }
  int64_t from() const { return data ? outs : channels; }
  int64_t to() const { return data ? channels : outs; }

  void run(Context& context, bool byWinograd) {
    const GemmMatrix b = data ? weightTaps(frozen, {kTurned, 9, 9, outs, channels}) : weightTransposed(frozen);
    if (byWinograd) return winograd(context, {x.data(), 1, side, side, from(), to(), b, nullptr, y.data()});
    const GemmMatrix a = patchesOf({.picture = x.data(), .height = side, .width = side, .channels = from(),
                                    .patchRows = side, .patchColumns = side, .tapRows = 3, .tapColumns = 3,
                                    .padTop = 1, .padLeft = 1});
    gemm(context, side * side, to(), 9 * from(), a, b, y.data(), to());
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s <threads>\n", argv[0]), 2;
  const int threads = std::atoi(argv[1]);
  std::atomic<bool> cancelled{false};
  const auto pool = makeThreadPool(threads, cancelled);
  std::vector<void*> workspaces;
  for (int i = 0; i < threads; i++) workspaces.push_back(std::aligned_alloc(64, kWorkspaceBytes));
  Context context{*pool, cancelled, workspaces.data()};
  std::printf("\"%s\"\n", cpuPathName());
  std::fflush(stdout);

  std::unique_ptr<Convolution> conv;
  int64_t side, channels, outs;
  std::string direction, way;
  while (std::cin >> side >> channels >> outs >> direction >> way) {
    const bool data = direction == "data", byWinograd = way == "winograd";
    if (!conv || conv->side != side || conv->channels != channels || conv->outs != outs || conv->data != data) {
      conv = std::make_unique<Convolution>(side, channels, outs, data);
      conv->run(context, false);
      conv->run(context, true);
    }
    const double start = now(threads);
    conv->run(context, byWinograd);
    std::printf("%.9f\n", now(threads) - start);
    std::fflush(stdout);
  }
  for (void* w : workspaces) std::free(w);
  return 0;
}
