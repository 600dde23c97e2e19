#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.h"
#include "plan.h"
#include "weights.h"

namespace tlora {

struct RunOptions {
  bool checkFinite = false;  // after each call, look for values that are infinite or not a number in its outputs
  bool checkWrites = false;  // around each call, see that it writes nothing but its outputs and scratch (slow; for tests)
  bool profile = false;      // time each call
  bool record = true;        // where the device can: keep the calls, and queue them all at once from the third run on
  bool time = false;         // say how long the device took for a recording
  bool wait = true;          // return when the results are there; else as soon as all calls are queued
};

struct RunReport {
  double ms = 0;
  double deviceMs = 0;  // of a recording, if timed; else 0
  std::string unrecorded;  // why the calls could not be recorded, in the run that tried
  std::vector<double> callMs;  // one per call of the plan, if profiled
};

class Program;

// A device with its thread pool, weights, state buffers and one arena that all its programs share.
// Everything but cancel(), loading() and memory() is called from one thread at a time, and not while a program runs.
// Every failure is an Error.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(const Backend& backend, int threads, const DeviceOptions& options = {});
  ~Engine();

  int threads() const { return pool_->threads(); }
  const MemoryMeter& memory() const { return device_.meter; }
  // Bytes of it that are memory of this process.
  size_t hostBytes() const { return device_.backend.hostVisible ? memory().total() : 0; }
  // What the device could still give, about.
  size_t freeBytes() const { return device_.freeBytes(); }
  // The algorithms chosen so far, and taking such a list before the first run: the same choices give the same bits. Suggestions that do not work
  // are passed over.
  std::string choices() const;
  void choose(const std::string& choices, bool suggestions = false);
  const LoadProgress& loading() const { return progress_; }

  void loadWeights(const std::vector<WeightSource>& sources);
  // Before several weights are added: together they take less of a device (WeightStore::reserve).
  void reserveWeights(const std::vector<WeightSource>& sources) { weights_.reserve(sources); }
  void addWeight(const WeightSource& source, const void* data, size_t bytes);
  size_t releaseWeights(const std::string& prefix);

  // A named buffer of float32 zeros that lives until it is released.
  void createState(const std::string& name, size_t floats);
  void releaseState(const std::string& name);
  void writeState(const std::string& name, size_t offset, const float* data, size_t count);
  void readState(const std::string& name, size_t offset, float* data, size_t count) const;

  // Decodes a plan and binds it: every op has a kernel, every weight and state buffer is there with the right shape.
  std::shared_ptr<Program> load(const uint8_t* plan, size_t bytes);

  // Stops what runs now, as soon as its current tasks end.
  void cancel() { cancelled_ = true; }
  // Forgets an earlier cancel(); called before a run or a load is queued.
  void arm() { cancelled_ = false; }
  // Frees weights, state, arena and the memory of all programs, and closes the device: nothing can be used afterwards.
  void dispose();

 private:
  friend class Program;
  Block& state(const std::string& name);
  void growArena(size_t bytes);

  std::atomic<bool> cancelled_{false};
  std::unique_ptr<ThreadPool> pool_;
  Device device_;
  WeightStore weights_;
  std::unordered_map<std::string, Block> states_;
  Block arena_;
  std::vector<std::weak_ptr<Program>> programs_;
  LoadProgress progress_;
  // Counts changes of memory that programs point into; a program binds anew when it has moved on.
  uint64_t epoch_ = 1;
};

// A plan bound to an engine. Its inputs and results keep their memory between runs.
class Program {
 public:
  Program(std::shared_ptr<Engine> engine, Plan plan);
  ~Program();

  const Plan& plan() const { return plan_; }
  const PlannedTensor& input(const std::string& name) const;
  const PlannedTensor& result(const std::string& name) const;
  void write(const std::string& input, const void* data, size_t bytes);
  void read(const PlannedTensor& tensor, void* data, size_t bytes);
  RunReport run(const RunOptions& options);
  // Milliseconds of these calls, one after the other, in each of `repeat` turns; before every turn the `flush`ing call is run, so that what they
  // read is not in the device's cache. After a run; leaves no sensible values. Devices with recordings queue them all at once.
  std::vector<double> timeCalls(const std::vector<size_t>& which, size_t flush, int repeat);
  void dispose();

 private:
  struct BoundCall {
    const void* kernel;
    Call call;
  };
  void bind();
  void finish();
  void runCalls(const RunOptions& options, RunReport& report);
  void runRecorded(bool timed, RunReport& report);
  void record();
  void* recordCalls(const std::vector<size_t>& which);
  void forgetRecording();
  Tensor bindTensor(const PlannedTensor& tensor) const;
  Tensor bindWeight(const PlannedTensor& tensor) const;
  void runCall(size_t index, const RunOptions& options, double& ms);
  void poison();
  void guarded(size_t index, const std::function<void()>& runKernel);
  void checkFinite(size_t index) const;
  [[noreturn]] void failCall(size_t index, const char* code, const std::string& what) const;

  std::shared_ptr<Engine> engine_;
  Plan plan_;
  Block io_;
  std::vector<BoundCall> calls_;
  std::vector<Tensor> tensors_;  // inputs and outputs of all calls, one after the other
  uint64_t boundEpoch_ = 0;
  void* recording_ = nullptr;  // of all calls, with the addresses of boundEpoch_
  int runsSinceBind_ = 0;
  bool unrecordable_ = false;
  bool disposed_ = false;
};

}  // namespace tlora
