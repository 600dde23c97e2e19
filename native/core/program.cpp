#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <numeric>

#include "engine.h"
#include "error.h"
#include "signature.h"
#include "write_guard.h"

namespace tlora {

using Clock = std::chrono::steady_clock;

namespace {

double msSince(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

const PlannedTensor& byName(const Plan& plan, const std::vector<NamedTensor>& list, const std::string& name, const char* kind) {
  for (const NamedTensor& n : list) {
    if (n.name == name) return plan.tensors[n.tensor];
  }
  std::string known;
  for (const NamedTensor& n : list) known += (known.empty() ? "" : ", ") + n.name;
  fail(kNative, "the program has no %s '%s' (it has: %s)", kind, name.c_str(), known.c_str());
}

std::string shapeText(const int64_t* dims, int rank) {
  std::string text = "[";
  for (int i = 0; i < rank; i++) {
    if (i > 0) text += ',';
    text += std::to_string(dims[i]);
  }
  text += ']';
  return text;
}

// Sizes of 1 do not change where elements lie: a 1x1 convolution's weight and a linear one are the same matrix.
std::vector<int64_t> withoutOnes(const int64_t* dims, int rank) {
  std::vector<int64_t> kept;
  std::copy_if(dims, dims + rank, std::back_inserter(kept), [](int64_t d) { return d != 1; });
  return kept;
}

}  // namespace

Program::Program(std::shared_ptr<Engine> engine, Plan plan) : engine_(std::move(engine)), plan_(std::move(plan)) {
  expectDevice(plan_, engine_->device_.backend.name);
  if (engine_->device_.backend.hostVisible && engine_->threads() > plan_.threads) {
    fail(kPlan, "the plan has scratch memory for %d threads, the engine has %d", plan_.threads, engine_->threads());
  }
  calls_.resize(plan_.calls.size());
  for (size_t i = 0; i < calls_.size(); i++) {
    calls_[i].kernel = engine_->device_.backend.kernel(plan_.calls[i].op.c_str());
    if (!calls_[i].kernel) failCall(i, kPlan, std::string("the ") + engine_->device_.backend.name + " backend has no such kernel");
  }
  io_ = Block(engine_->device_, Use::io, plan_.ioBytes + kGuardBytes, "inputs and results");
  bind();
}

// Resolves every tensor to an address, anew whenever the engine's memory has changed since the last time.
void Program::bind() {
  if (disposed_) fail(kNative, "the program was disposed");
  engine_->growArena(plan_.arenaBytes + kGuardBytes);
  if (boundEpoch_ == engine_->epoch_) return;
  forgetRecording();
  std::vector<Tensor> bound;
  bound.reserve(plan_.tensors.size());
  for (const PlannedTensor& t : plan_.tensors) bound.push_back(bindTensor(t));
  size_t count = 0;
  for (const PlannedCall& c : plan_.calls) count += c.inputs.size() + c.outputs.size();
  tensors_.clear();
  tensors_.reserve(count);
  const auto append = [&](const std::vector<int32_t>& list) {
    const Tensor* first = tensors_.data() + tensors_.size();
    for (const int32_t i : list) tensors_.push_back(i == kNone ? Tensor{} : bound[i]);
    return first;
  };
  for (size_t i = 0; i < calls_.size(); i++) {
    const PlannedCall& c = plan_.calls[i];
    Call& call = calls_[i].call;
    call.in = append(c.inputs);
    call.out = append(c.outputs);
    call.attr = c.attrs.data();
    call.scratch = engine_->arena_.data() + c.scratchOffset;
    call.scratchBytes = c.scratchBytes;
    call.inputs = static_cast<int>(c.inputs.size());
    call.outputs = static_cast<int>(c.outputs.size());
    call.attrs = static_cast<int>(c.attrs.size());
    const std::string why = misfit(c.op, call, engine_->device_.backend.hostVisible);
    if (!why.empty()) failCall(i, kPlan, why);
  }
  boundEpoch_ = engine_->epoch_;
}

Tensor Program::bindTensor(const PlannedTensor& t) const {
  if (t.place == Place::weight) return bindWeight(t);
  Tensor tensor;
  tensor.dtype = t.dtype;
  tensor.rank = t.rank;
  std::copy(t.dims, t.dims + t.rank, tensor.dims);
  if (t.place == Place::arena) tensor.data = engine_->arena_.data() + t.offset;
  if (t.place == Place::io) tensor.data = io_.data() + t.offset;
  if (t.place == Place::state) {
    const Block& state = engine_->state(t.buffer);
    if (t.offset + t.bytes > state.bytes()) {
      fail(kPlan, "state buffer '%s': %s needs %zu bytes at %zu, but it has %zu", t.buffer.c_str(), t.name.c_str(), t.bytes,
           t.offset, state.bytes());
    }
    tensor.data = state.data() + t.offset;
  }
  return tensor;
}

// A plain weight is float32, or has the type of the plan (one that was kept in its stored type), or the type that was asked for when
// it was loaded; a matrix has its own type.
Tensor Program::bindWeight(const PlannedTensor& t) const {
  const Weight* weight = engine_->weights_.find(t.buffer);
  if (!weight) fail(kPlan, "weight '%s' is not loaded", t.buffer.c_str());
  const Tensor& have = weight->tensor;
  if (withoutOnes(t.dims, t.rank) != withoutOnes(have.dims, have.rank)) {
    fail(kPlan, "weight '%s': expected %s, got %s", t.buffer.c_str(), shapeText(t.dims, t.rank).c_str(),
         shapeText(have.dims, have.rank).c_str());
  }
  if (t.matrix != (have.packed != nullptr)) {
    fail(kPlan, "weight '%s': expected it %s, got it %s", t.buffer.c_str(), t.matrix ? "packed as a matrix" : "plain",
         t.matrix ? "plain" : "packed as a matrix");
  }
  if (t.matrix && have.packed->rows != t.dims[0]) {
    fail(kPlan, "weight '%s': expected a matrix of %lld rows, got %lld", t.buffer.c_str(), (long long)t.dims[0], (long long)have.packed->rows);
  }
  if (!t.matrix && !weight->converted && have.dtype != DType::f32 && have.dtype != t.dtype) {
    fail(kPlan, "weight '%s': kept in another type than the plan's", t.buffer.c_str());
  }
  Tensor tensor = have;
  tensor.rank = t.rank;
  std::copy(t.dims, t.dims + t.rank, tensor.dims);
  return tensor;
}

const PlannedTensor& Program::input(const std::string& name) const { return byName(plan_, plan_.inputs, name, "input"); }
const PlannedTensor& Program::result(const std::string& name) const { return byName(plan_, plan_.results, name, "result"); }

void Program::write(const std::string& name, const void* data, size_t bytes) {
  const PlannedTensor& t = input(name);
  if (disposed_) fail(kNative, "the program was disposed");
  if (t.place != Place::io) fail(kPlan, "input '%s' is not in the io memory", name.c_str());
  if (bytes != t.bytes) {
    fail(kNative, "input '%s' %s: expected %zu bytes, got %zu", name.c_str(), shapeText(t.dims, t.rank).c_str(), t.bytes, bytes);
  }
  io_.write(t.offset, data, bytes);
}

void Program::read(const PlannedTensor& t, void* data, size_t bytes) {
  if (disposed_) fail(kNative, "the program was disposed");
  const Tensor bound = bindTensor(t);
  if (!bound.data || bytes != t.bytes || bound.dtype != t.dtype) fail(kNative, "%s cannot be read", t.name.c_str());
  engine_->device_.read(data, bound.data, bytes);
}

// Fills the arena, and the io bytes that belong to no tensor, with NaN: what is read before it is written shows, and so
// does a zero that is written where it must not.
void Program::poison() {
  const Device& device = engine_->device_;
  const std::vector<char> nan(engine_->arena_.bytes(), static_cast<char>(0xff));
  device.write(engine_->arena_.data(), nan.data(), nan.size());
  std::vector<char> io(io_.bytes());
  io_.read(0, io.data(), io.size());
  std::vector<bool> owned(io.size());
  for (const PlannedTensor& t : plan_.tensors) {
    if (t.place == Place::io) std::fill_n(owned.begin() + static_cast<std::ptrdiff_t>(t.offset), t.bytes, true);
  }
  for (size_t i = 0; i < owned.size(); i++) {
    if (!owned[i]) io[i] = static_cast<char>(0xff);
  }
  io_.write(0, io.data(), io.size());
}

RunReport Program::run(const RunOptions& options) {
  const auto start = Clock::now();
  RunReport report;
  bind();
  const bool oneByOne = options.checkFinite || options.checkWrites || options.profile;
  if (options.checkWrites) poison();
  if (oneByOne || !options.record || !engine_->device_.backend.record) {
    runCalls(options, report);
  } else {
    runRecorded(options.time, report);
  }
  if (options.wait) finish();
  report.ms = msSince(start);
  return report;
}

void Program::finish() {
  Reason reason;
  if (!engine_->device_.backend.finish(engine_->device_.self, reason)) fail(kDevice, "%s", reason.text);
}

void Program::runCalls(const RunOptions& options, RunReport& report) {
  if (options.profile) report.callMs.reserve(calls_.size());
  for (size_t i = 0; i < calls_.size(); i++) {
    double ms = 0;
    runCall(i, options, ms);
    if (options.profile) report.callMs.push_back(ms);
  }
}

// The first run after memory has moved goes call by call, so that libraries choose their algorithms outside of a recording, and
// programs that run once never pay for one. The second records, and from then on the recording is replayed. Where a device or a library cannot
// record something, runs go on call by call: slower, but right.
void Program::runRecorded(bool timed, RunReport& report) {
  const Backend& backend = engine_->device_.backend;
  void* self = engine_->device_.self;
  if (unrecordable_ || (!recording_ && runsSinceBind_++ == 0)) return runCalls({}, report);
  if (!recording_) {
    try {
      record();
    } catch (const Error& error) {
      if (engine_->cancelled_) throw;
      unrecordable_ = true;
      report.unrecorded = error.what();
      return runCalls({}, report);
    }
  }
  if (engine_->cancelled_) throw Error(kCancelled, "the run was cancelled");
  Reason reason;
  if (!backend.replay(self, recording_, timed ? &report.deviceMs : nullptr, reason)) fail(kDevice, "%s", reason.text);
}

void Program::record() {
  std::vector<size_t> all(calls_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  recording_ = recordCalls(all);
}

void* Program::recordCalls(const std::vector<size_t>& which) {
  const Backend& backend = engine_->device_.backend;
  void* self = engine_->device_.self;
  Reason reason;
  if (!backend.record(self, reason)) fail(kDevice, "%s", reason.text);
  try {
    double ignored = 0;
    for (const size_t i : which) runCall(i, {}, ignored);
  } catch (...) {
    void* partial = backend.recorded(self, reason);  // whatever was recorded, the device must leave that state
    if (partial) backend.discard(self, partial);
    throw;
  }
  void* recording = backend.recorded(self, reason);
  if (!recording) fail(kDevice, "%s", reason.text);
  return recording;
}

void Program::forgetRecording() {
  if (recording_) engine_->device_.backend.discard(engine_->device_.self, recording_);
  recording_ = nullptr;
  runsSinceBind_ = 0;
  unrecordable_ = false;
}

// In checking mode each call is waited for, so that a failure of the device names the call that caused it.
void Program::runCall(size_t index, const RunOptions& options, double& ms) {
  if (engine_->cancelled_) failCall(index, kCancelled, "cancelled");
  const BoundCall& bound = calls_[index];
  const Backend& backend = engine_->device_.backend;
  void* self = engine_->device_.self;
  const bool wait = options.profile || options.checkFinite || options.checkWrites;
  const auto runKernel = [&] {
    Reason reason;
    const bool ok = backend.run(self, bound.kernel, bound.call, wait ? &ms : nullptr, reason);
    if (engine_->cancelled_) failCall(index, kCancelled, "cancelled");
    if (!ok) failCall(index, kNative, reason.text);
  };
  if (options.checkWrites) {
    guarded(index, runKernel);
  } else {
    runKernel();
  }
  if (options.checkFinite) checkFinite(index);
}

void Program::guarded(size_t index, const std::function<void()>& runKernel) {
  const Call& call = calls_[index].call;
  std::vector<ByteRange> spaces{{"the arena", engine_->arena_.data(), engine_->arena_.bytes()},
                                {"the io memory", io_.data(), io_.bytes()}};
  for (const auto& [name, block] : engine_->states_) spaces.push_back({name.c_str(), block.data(), block.bytes()});
  const auto range = [](const Tensor& t) {
    return ByteRange{"", static_cast<char*>(t.data), t.data ? static_cast<size_t>(t.size()) * dtypeBytes(t.dtype) : 0};
  };
  std::vector<ByteRange> written, read;
  for (int i = 0; i < call.outputs; i++) {
    if (call.out[i].data) written.push_back(range(call.out[i]));
  }
  if (call.scratchBytes > 0) written.push_back({"", static_cast<char*>(call.scratch), call.scratchBytes});
  for (int i = 0; i < call.inputs; i++) {
    if (call.in[i].data) read.push_back(range(call.in[i]));
  }
  WriteGuard guard(engine_->device_, std::move(spaces));
  guard.before(written, read);
  runKernel();
  const std::string trouble = guard.after(written);
  if (!trouble.empty()) failCall(index, kNative, trouble);
}

void Program::checkFinite(size_t index) const {
  const Device& device = engine_->device_;
  const Call& call = calls_[index].call;
  for (int i = 0; i < call.outputs; i++) {
    const Tensor& t = call.out[i];
    if (!t.data || t.dtype == DType::i32) continue;
    int64_t at = -1;
    Reason reason;
    if (!device.backend.firstNonFinite(device.self, t, at, reason)) failCall(index, kDevice, reason.text);
    if (at < 0) continue;
    const PlannedTensor& planned = plan_.tensors[plan_.calls[index].outputs[i]];
    failCall(index, kNonFinite,
             "output " + planned.name + shapeText(t.dims, t.rank) + ": element " + std::to_string(at) + " is not finite");
  }
}

void Program::failCall(size_t index, const char* code, const std::string& what) const {
  const PlannedCall& c = plan_.calls[index];
  throw Error(code, "[" + c.op + "] " + what + " (at " + (c.path.empty() ? "the top level" : c.path) + ")");
}

Program::~Program() { forgetRecording(); }

void Program::dispose() {
  disposed_ = true;
  forgetRecording();
  io_ = Block();
  calls_.clear();
  tensors_.clear();
}

}  // namespace tlora
