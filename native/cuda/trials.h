// Which of several algorithms does the work of a shape fastest on this device, found by trying them at the shape's first use.
#pragma once
#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "context.h"
#include "matmul.h"

namespace tlora::cuda {

// Times work on a stream by the device's own events, and says when no time is left for it.
class Stopwatch {
 public:
  // `mostMs`: of the host, for all that is done to try algorithms; a shape that was begun is finished.
  Stopwatch(cudaStream_t stream, double mostMs);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  cudaStream_t stream() const { return stream_; }
  double ms(const std::function<void()>& queue) const;
  // Not while the stream is recorded: nothing may wait then.
  bool running() const;
  void spend(double ms) { spentMs_ += ms; }

 private:
  cudaStream_t stream_;
  cudaEvent_t before_ = nullptr, after_ = nullptr;
  double mostMs_, spentMs_ = 0;
};

// For as long as algorithms of one shape are made and tried. false: the first one is to be taken.
class Trying {
 public:
  explicit Trying(const Context& context) : stopwatch_(context.stopwatch && context.stopwatch->running() ? context.stopwatch : nullptr) {}
  ~Trying() {
    if (stopwatch_) stopwatch_->spend(std::chrono::duration<double, std::milli>(Clock::now() - begun_).count());
  }
  Trying(const Trying&) = delete;
  Trying& operator=(const Trying&) = delete;
  explicit operator bool() const { return stopwatch_; }

 private:
  using Clock = std::chrono::steady_clock;
  Stopwatch* stopwatch_;
  Clock::time_point begun_ = Clock::now();
};

struct Verdict {
  size_t fastest = 0;
  std::string times;  // of it and of the first one, as text
};

// Tries algorithms, in turns; each queues the whole work on the stopwatch's stream. What is thrown by one, or cannot be recorded, puts it out of
// the running. The first wins unless another is clearly faster, so that noise changes few choices. Throws where the device itself fails.
Verdict tryAll(Stopwatch& stopwatch, const std::vector<std::function<void()>>& algorithms);

// Where the trials of a product write: to c, or to memory of their own where what lies in c is read. It is freed with this.
class TrialOutput {
 public:
  explicit TrialOutput(const Matmul& product);
  ~TrialOutput();
  TrialOutput(const TrialOutput&) = delete;
  TrialOutput& operator=(const TrialOutput&) = delete;
  // nullptr: there is no memory for it, and nothing can be tried.
  void* c() const { return c_; }

 private:
  void *c_, *own_ = nullptr;
};

}  // namespace tlora::cuda
