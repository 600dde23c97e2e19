#include "thread_pool.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "spread.h"

namespace tlora {
namespace {

// How long an idle worker looks for the next job before it sleeps: longer than the gap between two kernels of a step,
// too short to disturb other processes.
constexpr auto kSpin = std::chrono::microseconds(40);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Ready>
bool spinUntil(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// One word describes the current job: generation, whether workers may still join it, and how many are in it. A worker
// that wakes up too late finds the job closed and sleeps on, so that the caller never waits for a thread without work.
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kMembers = kOpen - 1;
constexpr uint64_t kGeneration = uint64_t{1} << 32;

class Pool final : public ThreadPool {
 public:
  Pool(int threads, const std::atomic<bool>& cancelled) : cancelled_(cancelled), places_(threads) {
    try {
      for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Pool() override { stop(); }

  int threads() const override { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t tasks, const std::function<void(int64_t, int)>& body) override {
    if (workers_.empty() || tasks <= 1) {
      for (int64_t i = 0; i < tasks && !cancelled_.load(std::memory_order_relaxed); i++) body(i, 0);
      return;
    }
    body_ = &body;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    failure_ = nullptr;
    callersProcessor_.store(currentProcessor(), std::memory_order_relaxed);
    const uint64_t generation = (state_.load(std::memory_order_relaxed) & ~(kGeneration - 1)) + kGeneration;
    state_.store(generation | kOpen);
    if (sleepers_.load() > 0) {
      std::lock_guard lock(mutex_);
      for (Sleeper& place : places_) place.keepOff(callersProcessor_.load(std::memory_order_relaxed));
      wake_.notify_all();
    }
    takeTasks(0);
    close();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void takeTasks(int thread) {
    try {
      while (!cancelled_.load(std::memory_order_relaxed)) {
        const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
        if (task >= tasks_) return;
        (*body_)(task, thread);
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(tasks_, std::memory_order_relaxed);
    }
  }

  // Lets nobody join any more and waits for those inside.
  void close() {
    state_.fetch_and(~kOpen);
    const auto empty = [this] { return (state_.load() & kMembers) == 0; };
    if (spinUntil(empty)) return;
    std::unique_lock lock(mutex_);
    done_.wait(lock, empty);
  }

  // A job that is open and not the one this worker has just left.
  bool joinable(uint64_t last) const {
    const uint64_t state = state_.load();
    return (state & kOpen) != 0 && (state & ~(kGeneration - 1)) != last;
  }

  bool waitForJob(uint64_t last, int thread) {
    const auto ready = [&] { return stopping_.load() || joinable(last); };
    if (!spinUntil(ready)) {
      std::unique_lock lock(mutex_);
      places_[thread].sleeps(callersProcessor_.load(std::memory_order_relaxed));
      sleepers_.fetch_add(1);
      wake_.wait(lock, ready);
      sleepers_.fetch_sub(1);
      places_[thread].awake();
    }
    return !stopping_.load();
  }

  void work(int thread) {
    uint64_t last = 0;
    while (waitForJob(last, thread)) {
      uint64_t state = state_.load();
      if ((state & kOpen) == 0 || !state_.compare_exchange_strong(state, state + 1)) continue;
      last = state & ~(kGeneration - 1);
      leaveProcessor(callersProcessor_.load(std::memory_order_relaxed));
      takeTasks(thread);
      if ((state_.fetch_sub(1) & (kMembers | kOpen)) == 1) {
        std::lock_guard lock(mutex_);
        done_.notify_one();
      }
    }
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_.store(true);
      wake_.notify_all();
    }
    for (std::thread& worker : workers_) worker.join();
  }

  const std::atomic<bool>& cancelled_;
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> state_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<int> callersProcessor_{-1};
  std::atomic<bool> stopping_{false};
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::vector<Sleeper> places_;  // of the threads, the caller's unused; under mutex_
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
};

}  // namespace

std::unique_ptr<ThreadPool> makeThreadPool(int threads, const std::atomic<bool>& cancelled) {
  return std::make_unique<Pool>(threads, cancelled);
}

}  // namespace tlora
