#include "trials.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>

namespace tlora::cuda {
namespace {

constexpr double kClearly = 0.97;     // another algorithm takes less of the first one's time
constexpr double kHopeless = 4;       // and one that takes more than this, once, is not looked at further
constexpr double kTurnMs = 0.3;       // work is repeated within a turn up to about this
constexpr int kMostRepeats = 16, kTurns = 4;
constexpr size_t kMostTrialBytes = size_t{256} << 20;

// Work recorded several times over, so that the host's time for queueing does not count, as in a run.
class Repeated {
 public:
  Repeated(cudaStream_t stream, const std::function<void()>& queue, int times) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a trial");
    std::exception_ptr failure;
    try {
      for (int i = 0; i < times; i++) queue();
    } catch (...) {
      failure = std::current_exception();
    }
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);  // whatever happened, the stream leaves that state
    const cudaError_t made = ended == cudaSuccess && !failure ? cudaGraphInstantiate(&exec_, graph, 0) : ended;
    if (graph) cudaGraphDestroy(graph);
    if (failure) {
      cudaGetLastError();
      std::rethrow_exception(failure);
    }
    check(made, "recording a trial");
  }
  ~Repeated() {
    if (exec_) cudaGraphExecDestroy(exec_);
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;
  void launch() const { check(cudaGraphLaunch(exec_, stream_), "a trial"); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t exec_ = nullptr;
};

struct Runner {
  std::unique_ptr<Repeated> work;  // nullptr: out of the running
  int repeats = 1;
  double ms = std::numeric_limits<double>::infinity();  // of the work once
};

// `bestMs`: of one call of the algorithms before.
Runner prepare(Stopwatch& stopwatch, const std::function<void()>& queue, double& bestMs) {
  Runner runner;
  try {
    stopwatch.ms(queue);  // loads what it needs
    const double once = stopwatch.ms(queue);
    if (once > kHopeless * bestMs) return runner;
    bestMs = std::min(bestMs, once);
    runner.repeats = int(std::clamp(kTurnMs / std::max(once, 1e-6), 1.0, double(kMostRepeats)));
    runner.work = std::make_unique<Repeated>(stopwatch.stream(), queue, runner.repeats);
    runner.work->launch();
  } catch (const Error&) {
    runner.work = nullptr;
  }
  check(cudaStreamSynchronize(stopwatch.stream()), "trying algorithms");
  return runner;
}

std::string timesText(const std::vector<Runner>& runners, size_t fastest) {
  const auto text = [](double ms) {
    char digits[32];
    snprintf(digits, sizeof digits, "%.4f", ms);
    return std::isfinite(ms) ? std::string(digits) : std::string("-");
  };
  return text(runners[fastest].ms) + " ms, the first " + text(runners[0].ms) + ", of " + std::to_string(runners.size());
}

int64_t bytesOf(const Matmul& p) {
  return ((p.batch - 1) * p.strideC + (p.m - 1) * p.ldc + p.n) * int64_t(dtypeBytes(p.cType));
}

bool readsItsOutput(const Matmul& p, int64_t bytes) {
  if (p.beta != 0) return true;
  const auto *c = static_cast<const char*>(p.c), *added = static_cast<const char*>(p.residual);
  return added && added < c + bytes && c < added + bytes;
}

}  // namespace

Stopwatch::Stopwatch(cudaStream_t stream, double mostMs) : stream_(stream), mostMs_(mostMs) {
  check(cudaEventCreateWithFlags(&before_, 0), "making an event");
  check(cudaEventCreateWithFlags(&after_, 0), "making an event");
}

Stopwatch::~Stopwatch() {
  if (before_) cudaEventDestroy(before_);
  if (after_) cudaEventDestroy(after_);
}

double Stopwatch::ms(const std::function<void()>& queue) const {
  check(cudaEventRecord(before_, stream_), "timing a trial");
  queue();
  check(cudaEventRecord(after_, stream_), "timing a trial");
  check(cudaEventSynchronize(after_), "timing a trial");
  float elapsed = 0;
  check(cudaEventElapsedTime(&elapsed, before_, after_), "timing a trial");
  return elapsed;
}

bool Stopwatch::running() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return spentMs_ < mostMs_ && cudaStreamIsCapturing(stream_, &status) == cudaSuccess && status == cudaStreamCaptureStatusNone;
}

Verdict tryAll(Stopwatch& stopwatch, const std::vector<std::function<void()>>& algorithms) {
  check(cudaStreamSynchronize(stopwatch.stream()), "the device failed");  // earlier work is no trial's failure
  double bestMs = std::numeric_limits<double>::infinity();
  std::vector<Runner> runners;
  for (const auto& queue : algorithms) runners.push_back(prepare(stopwatch, queue, bestMs));
  for (int turn = 0; turn < kTurns; turn++) {
    for (Runner& runner : runners) {
      if (runner.work) runner.ms = std::min(runner.ms, stopwatch.ms([&] { runner.work->launch(); }) / runner.repeats);
    }
  }
  const auto least = std::min_element(runners.begin(), runners.end(), [](const Runner& a, const Runner& b) { return a.ms < b.ms; });
  const size_t fastest = least->ms < kClearly * runners[0].ms ? size_t(least - runners.begin()) : 0;
  return {fastest, std::isfinite(runners[fastest].ms) ? timesText(runners, fastest) : ""};
}

TrialOutput::TrialOutput(const Matmul& p) : c_(p.c) {
  const int64_t bytes = bytesOf(p);
  if (!readsItsOutput(p, bytes)) return;
  if (size_t(bytes) > kMostTrialBytes || cudaMalloc(&own_, size_t(bytes)) != cudaSuccess) {
    cudaGetLastError();  // a failed allocation is not a failed device
    own_ = nullptr;
  }
  c_ = own_;
}

TrialOutput::~TrialOutput() {
  if (own_) cudaFree(own_);
}

}  // namespace tlora::cuda
