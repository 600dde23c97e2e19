#include "plan.h"

#include <cstring>
#include <iterator>

#include "error.h"

namespace tlora {
namespace {

constexpr size_t kAlignment = 64;              // of arena, io and scratch offsets
constexpr const char* kDevices[] = {"cpu", "cuda"};  // names of backends
constexpr uint64_t kMostBytes = uint64_t{1} << 48;  // larger sizes are nonsense, and sums of two must not overflow

class Reader {
 public:
  Reader(const uint8_t* data, size_t bytes) : data_(data), bytes_(bytes) {}

  template <class T>
  T read(const char* what) {
    T value;
    need(sizeof value, what);
    memcpy(&value, data_ + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  // A count of things that take at least `each` bytes: too large a count fails here, not in an allocation.
  uint32_t count(const char* what, size_t each) {
    const uint32_t n = read<uint32_t>(what);
    need(uint64_t{n} * each, what);
    return n;
  }

  size_t size(const char* what) {
    const uint64_t n = read<uint64_t>(what);
    if (n > kMostBytes) fail(kPlan, "plan: %s: %llu is out of range (at byte %zu)", what, (unsigned long long)n, at_);
    return static_cast<size_t>(n);
  }

  std::string text(size_t length) {
    need(length, "text");
    std::string s(reinterpret_cast<const char*>(data_ + at_), length);
    at_ += length;
    return s;
  }

  size_t at() const { return at_; }
  bool ended() const { return at_ == bytes_; }

 private:
  void need(uint64_t n, const char* what) const {
    if (n > bytes_ - at_) fail(kPlan, "plan: cut off at byte %zu of %zu, in %s", at_, bytes_, what);
  }

  const uint8_t* data_;
  size_t bytes_, at_ = 0;
};

class Decoder {
 public:
  Decoder(const uint8_t* data, size_t bytes) : in_(data, bytes) {}

  Plan decode() {
    header();
    const uint32_t names = in_.count("names", 4);
    for (uint32_t i = 0; i < names; i++) names_.push_back(in_.text(in_.count("a name", 1)));
    const uint32_t states = in_.count("state buffers", 12);
    for (uint32_t i = 0; i < states; i++) {
      std::string name = this->name("a state buffer");
      plan_.states.push_back({std::move(name), in_.size("bytes of a state buffer")});
    }
    const uint32_t tensors = in_.count("tensors", 20);
    for (uint32_t i = 0; i < tensors; i++) tensor();
    plan_.inputs = named("inputs");
    plan_.results = named("results");
    const uint32_t calls = in_.count("calls", 36);
    plan_.calls.reserve(calls);
    for (uint32_t i = 0; i < calls; i++) call();
    if (!in_.ended()) fail(kPlan, "plan: more bytes follow its end at byte %zu", in_.at());
    return std::move(plan_);
  }

 private:
  void header() {
    if (in_.text(8) != "TLORAPLN") fail(kPlan, "plan: expected it to start with TLORAPLN");
    const uint32_t format = in_.read<uint32_t>("the format");
    if (format != kPlanFormat) {
      fail(kPlan, "plan: expected format %u, got %u: %s", kPlanFormat, format,
           format < kPlanFormat ? "it is of an older tlora, make it anew" : "it is of a newer tlora, build this one's native code anew");
    }
    const uint32_t device = in_.read<uint32_t>("the device");
    if (device >= std::size(kDevices)) fail(kPlan, "plan: device: expected 0 or 1, got %u", device);
    plan_.device = kDevices[device];
    const uint32_t threads = in_.read<uint32_t>("threads");
    if (threads < 1 || threads > 4096) fail(kPlan, "plan: threads: expected 1 to 4096, got %u", threads);
    plan_.threads = static_cast<int>(threads);
    plan_.arenaBytes = in_.size("arenaBytes");
    plan_.ioBytes = in_.size("ioBytes");
  }

  const std::string& name(const char* what) {
    const uint32_t i = in_.read<uint32_t>(what);
    if (i >= names_.size()) fail(kPlan, "plan: %s: there is no name %u (at byte %zu)", what, i, in_.at());
    return names_[i];
  }

  int32_t index(const char* what, bool optional) {
    const uint32_t i = in_.read<uint32_t>(what);
    if (optional && i == 0xffffffffu) return kNone;
    if (i >= plan_.tensors.size()) fail(kPlan, "plan: %s: there is no tensor %u (at byte %zu)", what, i, in_.at());
    return static_cast<int32_t>(i);
  }

  void tensor() {
    PlannedTensor t{};
    const uint8_t place = in_.read<uint8_t>("a tensor"), dtype = in_.read<uint8_t>("a tensor");
    t.matrix = in_.read<uint8_t>("a tensor") != 0;
    t.rank = in_.read<uint8_t>("a tensor");
    t.name = name("a tensor");
    if (place > 3 || dtype > 3 || t.rank > kMaxRank) {
      fail(kPlan, "plan: tensor %s: place %u, type %u, %d sizes: out of range", t.name.c_str(), place, dtype, t.rank);
    }
    t.place = static_cast<Place>(place);
    t.dtype = static_cast<DType>(dtype);
    const uint32_t buffer = in_.read<uint32_t>("a tensor");
    const bool wantsBuffer = t.place == Place::weight || t.place == Place::state;
    if (wantsBuffer != (buffer < names_.size())) fail(kPlan, "plan: tensor %s: wrong buffer name", t.name.c_str());
    if (wantsBuffer) t.buffer = names_[buffer];
    t.offset = in_.size("a tensor");
    uint64_t bytes = dtypeBytes(t.dtype);
    for (int i = 0; i < t.rank; i++) {
      t.dims[i] = static_cast<int64_t>(in_.size("a size"));
      if (t.dims[i] < 1 || bytes > kMostBytes / static_cast<uint64_t>(t.dims[i])) {
        fail(kPlan, "plan: tensor %s: size %lld is out of range", t.name.c_str(), (long long)t.dims[i]);
      }
      bytes *= static_cast<uint64_t>(t.dims[i]);
    }
    t.bytes = static_cast<size_t>(bytes);
    checkRange(t);
    plan_.tensors.push_back(std::move(t));
  }

  void checkRange(const PlannedTensor& t) const {
    if (t.matrix && (t.place != Place::weight || t.rank < 1)) {
      fail(kPlan, "plan: tensor %s: only a weight can be a matrix", t.name.c_str());
    }
    size_t room = SIZE_MAX, alignment = kAlignment;
    if (t.place == Place::arena) room = plan_.arenaBytes;
    if (t.place == Place::io) room = plan_.ioBytes;
    if (t.place == Place::state) {
      alignment = dtypeBytes(t.dtype);
      room = 0;
      for (const StateSize& s : plan_.states) {
        if (s.name == t.buffer) room = s.bytes;
      }
    }
    if (t.offset % alignment != 0 || t.offset > room || t.bytes > room - t.offset) {
      fail(kPlan, "plan: tensor %s: %zu bytes at %zu do not fit in %zu, aligned to %zu", t.name.c_str(), t.bytes, t.offset,
           room, alignment);
    }
  }

  std::vector<NamedTensor> named(const char* what) {
    std::vector<NamedTensor> all(in_.count(what, 8));
    for (NamedTensor& n : all) {
      n.name = name(what);
      n.tensor = index(what, false);
    }
    return all;
  }

  void call() {
    PlannedCall c{};
    c.op = name("a call");
    c.path = name("a call");
    c.inputs.resize(in_.count("inputs of a call", 4));
    for (int32_t& i : c.inputs) i = index("inputs of a call", true);
    c.outputs.resize(in_.count("outputs of a call", 4));
    for (int32_t& i : c.outputs) i = index("outputs of a call", true);
    for (const int32_t i : c.outputs) {
      if (i != kNone && plan_.tensors[i].place == Place::weight) {
        fail(kPlan, "plan: [%s] writes to weight %s (at %s)", c.op.c_str(), plan_.tensors[i].name.c_str(), c.path.c_str());
      }
    }
    c.scratchOffset = in_.size("scratch of a call");
    c.scratchBytes = in_.size("scratch of a call");
    if (c.scratchBytes > 0 && (c.scratchOffset % kAlignment != 0 || c.scratchOffset > plan_.arenaBytes ||
                               c.scratchBytes > plan_.arenaBytes - c.scratchOffset)) {
      fail(kPlan, "plan: [%s] scratch does not fit in the arena (at %s)", c.op.c_str(), c.path.c_str());
    }
    c.attrs.resize(in_.count("attributes of a call", 8));
    for (double& a : c.attrs) a = in_.read<double>("an attribute");
    plan_.calls.push_back(std::move(c));
  }

  Reader in_;
  Plan plan_{};
  std::vector<std::string> names_;
};

}  // namespace

Plan decodePlan(const uint8_t* data, size_t bytes) { return Decoder(data, bytes).decode(); }

void expectDevice(const Plan& plan, const char* backend) {
  if (strcmp(plan.device, backend) == 0) return;
  fail(kPlan, "plan: device: expected one made for %s, got one for %s: make it anew with --device %s, or run it with --device %s", backend,
       plan.device, backend, plan.device);
}

}  // namespace tlora
