// tlora's matrix products against OpenBLAS's sgemm, taking turns in one process: for each shape `rounds` times ours, then
// theirs. Prints one line of JSON per shape with the seconds of every round. Convolutions meet a plain product of the
// same size: OpenBLAS gets its patch matrix for nothing.
//   tlora-bench-gemm <libopenblas.so> <threads> <rounds> [only shapes whose name contains this]
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "core/thread_pool.h"
#include "cpu/gemm.h"
#include "cpu/simd.h"

namespace {

using namespace tlora;

using Sgemm = void (*)(int order, int transA, int transB, int m, int n, int k, float alpha, const float* a, int lda,
                       const float* b, int ldb, float beta, float* c, int ldc);
constexpr int kRowMajor = 101, kNo = 111, kTrans = 112;

// How the operands of C [m, n] = A [m, k] B [k, n] lie.
enum class Form {
  rows,     // both row-major
  forward,  // y = x w^T, w a frozen float16 weight
  data,     // dx = dy w, the same weight
  trained,  // y = x w^T, w plain float32
  dw,       // dw = dy^T x
};

struct Shape {
  const char* name;
  int64_t m, n, k;
  Form form;
  int64_t side = 0;  // of a square picture, for a 3x3 convolution with padding 1
};

const Shape kShapes[] = {
    {"2048^3", 2048, 2048, 2048, Form::rows},
    {"linear 4096x640x640", 4096, 640, 640, Form::forward},
    {"linear dx 4096x640x640", 4096, 640, 640, Form::data},
    {"linear dw 640x640x4096", 640, 640, 4096, Form::dw},
    {"linear 1024x1280x1280", 1024, 1280, 1280, Form::forward},
    {"lora down 4096x64x640", 4096, 64, 640, Form::trained},
    {"lora down 1024x64x1280", 1024, 64, 1280, Form::trained},
    {"lora up 4096x640x64", 4096, 640, 64, Form::trained},
    {"lora down dw 64x640x4096", 64, 640, 4096, Form::dw},
    {"lora up dw 640x64x4096", 640, 64, 4096, Form::dw},
    {"context 77x1280x2048", 77, 1280, 2048, Form::forward},
    {"time 1x1280x1280", 1, 1280, 1280, Form::forward},
    {"conv 320 to 320 at 64x64", 4096, 320, 2880, Form::forward, 64},
    {"conv dx 320 to 320 at 64x64", 4096, 320, 2880, Form::data, 64},
    {"conv 640 to 640 at 32x32", 1024, 640, 5760, Form::forward, 32},
    {"conv dx 640 to 640 at 32x32", 1024, 640, 5760, Form::data, 32},
    {"conv 1280 to 1280 at 16x16", 256, 1280, 11520, Form::forward, 16},
    {"conv dx 1280 to 1280 at 16x16", 256, 1280, 11520, Form::data, 16},
    {"conv 1280 to 1280 at 8x8", 64, 1280, 11520, Form::forward, 8},
    {"conv dx 1280 to 1280 at 8x8", 64, 1280, 11520, Form::data, 8},
};

constexpr int64_t kTurned[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};

struct Buffer {
  explicit Buffer(size_t bytes) : data(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) {}
  ~Buffer() { std::free(data); }
  Buffer(const Buffer&) = delete;
  void* data;
  float* f32() const { return static_cast<float*>(data); }
};

void fillRandom(float* p, int64_t count) {
  uint32_t state = 1;
  for (int64_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    p[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
}

// One thread is timed by the processor time it used, which other processes disturb less; several by the clock.
double now(int threads) {
  timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// OpenBLAS's threads go on looking for work for some 25 ms after a product and would keep a core from what comes next.
void rest(int threads) {
  if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(60));
}

struct Bench {
  Sgemm sgemm;
  Context& context;
  int rounds;

  void run(const Shape& s) const {
    const int64_t channels = s.side ? s.k / 9 : s.k;
    Buffer a(s.m * s.k * 4), b(s.k * s.n * 4), c(s.m * s.n * 4), d(s.m * s.n * 4), half((s.k + 16) * (s.n + 16) * 2);
    fillRandom(a.f32(), s.m * s.k);
    fillRandom(b.f32(), s.k * s.n);
    auto* bits = static_cast<uint16_t*>(half.data);
    for (int64_t i = 0; i < (s.k + 16) * (s.n + 16); i++) bits[i] = static_cast<uint16_t>(0x2000 + i % 0x1000);  // 0.008 .. 0.5

    const bool forward = s.form == Form::forward;
    const int64_t outs = forward ? s.n : s.side ? channels : s.k;
    const PackedMatrix packed = {half.data, DType::f16, outs, s.k * s.n / outs};
    Tensor frozen, trained;
    frozen.packed = &packed;
    trained.data = b.data;
    trained.rank = 2;
    trained.dims[0] = s.n;
    trained.dims[1] = s.k;
    const GemmMatrix ourA = s.form == Form::dw ? columnsOf(a.f32(), s.m)
                            : s.side           ? patchesOf({.picture = a.f32(), .height = s.side, .width = s.side,
                                                            .channels = channels, .patchRows = s.side, .patchColumns = s.side,
                                                            .tapRows = 3, .tapColumns = 3, .padTop = 1, .padLeft = 1})
                                               : rowsOf(a.f32(), s.k);
    const GemmMatrix ourB = s.form == Form::trained ? weightTransposed(trained)
                            : forward               ? weightTransposed(frozen)
                            : s.form != Form::data  ? rowsOf(b.f32(), s.n)
                            : s.side                ? weightTaps(frozen, {kTurned, 9, 9, outs, s.n})
                                                    : weightOf(frozen);
    const bool transA = s.form == Form::dw, transB = forward || s.form == Form::trained;
    std::vector<double> ours, theirs;
    for (int round = -1; round < rounds; round++) {  // the first round warms up
      const int threads = context.pool.threads();
      rest(threads);
      const double start = now(threads);
      gemm(context, s.m, s.n, s.k, ourA, ourB, c.f32(), s.n);
      const double middle = now(threads);
      rest(threads);
      const double between = now(threads);
      sgemm(kRowMajor, transA ? kTrans : kNo, transB ? kTrans : kNo, s.m, s.n, s.k, 1, a.f32(), transA ? s.m : s.k,
            b.f32(), transB ? s.k : s.n, 0, d.f32(), s.n);
      const double end = now(threads);
      if (round < 0) continue;
      ours.push_back(middle - start);
      theirs.push_back(end - between);
    }
    print(s, ours, theirs);
  }

  static void print(const Shape& s, const std::vector<double>& ours, const std::vector<double>& theirs) {
    std::printf("{\"name\":\"%s\",\"flops\":%.0f", s.name, 2.0 * s.m * s.n * s.k);
    for (const auto& [key, list] : {std::pair{"ours", &ours}, std::pair{"theirs", &theirs}}) {
      std::printf(",\"%s\":[", key);
      for (size_t i = 0; i < list->size(); i++) std::printf("%s%.9f", i ? "," : "", (*list)[i]);
      std::printf("]");
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s <libopenblas.so> <threads> <rounds> [name]\n", argv[0]);
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 3;
  }
  const auto sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
  const auto setThreads = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
  const auto config = reinterpret_cast<char* (*)()>(dlsym(library, "openblas_get_config"));
  if (!sgemm || !setThreads || !config) {
    std::fprintf(stderr, "%s is not OpenBLAS\n", argv[1]);
    return 3;
  }
  const int threads = std::atoi(argv[2]);
  setThreads(threads);
  std::printf("{\"cpu\":\"%s\",\"opponent\":\"%s\",\"threads\":%d}\n", cpuPathName(), config(), threads);

  std::atomic<bool> cancelled{false};
  const auto pool = makeThreadPool(threads, cancelled);
  std::vector<void*> workspaces;
  for (int i = 0; i < threads; i++) workspaces.push_back(std::aligned_alloc(64, kWorkspaceBytes));
  Context context{*pool, cancelled, workspaces.data()};
  const Bench bench{sgemm, context, std::atoi(argv[3])};
  for (const Shape& shape : kShapes)
    if (argc < 5 || std::strstr(shape.name, argv[4])) bench.run(shape);
  for (void* w : workspaces) std::free(w);
  return 0;
}
