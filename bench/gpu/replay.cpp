// tlora-replay FILE... [--device cuda:N] [--bounds F32,F16,BF16] [--states BOUND] [--filter TEXT] [--worst N]
// Does again, on a device, what bench/gpu/recordTrace.ts recorded, and compares everything that is read with what was read then:
// the relative error |got - recorded| / |recorded| (2-norms over the tensor) may be at most the bound of the least precise type that the
// engine's plans hold; --states is the least bound of state buffers, in which rounding grows over steps. Integers must be equal. Exit status 0 only if something was compared and all was within its bound.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "core/backend_library.h"
#include "core/engine.h"
#include "core/half.h"

namespace {

using namespace tlora;

struct Settings {
  std::vector<std::string> files;
  std::string device = "cuda", filter;
  double bounds[3] = {2e-5, 3e-3, 2e-2};  // in the order of DType
  double states = 0;
  size_t worst = 10;
};

class Reader {
 public:
  explicit Reader(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(kFileFormat, "%s cannot be opened", path.c_str());
    data_.assign(std::istreambuf_iterator<char>(file), {});
  }
  bool ended() const { return at_ == data_.size(); }
  template <class T>
  T read() {
    T value;
    memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string text() {
    const uint32_t length = read<uint32_t>();
    return std::string(take(length), length);
  }
  // A copy: what lies in the file is not aligned.
  std::vector<char> blob() {
    const size_t bytes = read<uint64_t>();
    const char* from = take(bytes);
    return std::vector<char>(from, from + bytes);
  }

 private:
  const char* take(size_t bytes) {
    if (bytes > data_.size() - at_) fail(kFileFormat, "the trace is cut off at byte %zu", at_);
    at_ += bytes;
    return data_.data() + at_ - bytes;
  }
  std::vector<char> data_;
  size_t at_ = 0;
};

struct Comparison {
  std::string title, tensor;
  double error, bound;
  bool passed() const { return error <= bound; }  // never for NaN
};

double relativeError(const std::vector<char>& got, const std::vector<char>& expected, DType dtype) {
  if (dtype == DType::i32) return got == expected ? 0 : INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size() / dtypeBytes(dtype); i++) {
    const double g = floatAt(got.data(), dtype, static_cast<int64_t>(i)), e = floatAt(expected.data(), dtype, static_cast<int64_t>(i));
    if (std::isinf(e) && g == e) continue;
    difference += (g - e) * (g - e);
    size += e * e;
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

// One engine of a trace.
class Replay {
 public:
  Replay(const Settings& settings, const Backend& backend, Reader& in, std::vector<Comparison>& all)
      : settings_(settings), in_(in), all_(all), title_(in.text()) {
    const bool tf32 = in.read<uint8_t>() != 0;
    wanted_ = title_.find(settings.filter) != std::string::npos;
    if (wanted_) engine_ = std::make_shared<Engine>(backend, 1, DeviceOptions{parseDevice(settings.device).index, tf32});
  }
  ~Replay() {
    if (engine_) engine_->dispose();
  }

  // A failure ends this engine's part, but not the whole: it is counted as an infinite error.
  void run() {
    for (uint8_t tag = in_.read<uint8_t>(); tag != 13; tag = in_.read<uint8_t>()) {
      try {
        step(tag);
      } catch (const Error& error) {
        if (error.code == kFileFormat) throw;
        all_.push_back({title_, error.what(), INFINITY, 0});
        wanted_ = false;
      }
    }
  }

 private:
  void step(uint8_t tag) {
    switch (tag) {
      case 2: return weight();
      case 3: return releaseWeights(in_.text());
      case 4: return createState(in_.text());
      case 5: return releaseState(in_.text());
      case 6: return state(true);
      case 7: return state(false);
      case 8: return load();
      case 9: return write();
      case 10: return runProgram();
      case 11: return read();
      case 12: return drop();
      default: fail(kFileFormat, "the trace has an unknown part %d", tag);
    }
  }

  void weight() {
    WeightSource s;
    s.name = in_.text();
    s.dtype = static_cast<DType>(in_.read<uint8_t>());
    const uint8_t flags = in_.read<uint8_t>(), as = in_.read<uint8_t>(), rank = in_.read<uint8_t>();
    s.oihw = flags & 1, s.matrix = flags & 2, s.keep = flags & 4;
    if (as != 255) s.as = static_cast<DType>(as);
    for (int i = 0; i < rank; i++) s.shape.push_back(in_.read<int64_t>());
    const std::vector<char> data = in_.blob();
    if (wanted_) engine_->addWeight(s, data.data(), data.size());
  }
  void releaseWeights(const std::string& prefix) {
    if (wanted_) engine_->releaseWeights(prefix);
  }
  void createState(const std::string& name) {
    const size_t floats = in_.read<uint64_t>();
    if (wanted_) engine_->createState(name, floats);
  }
  void releaseState(const std::string& name) {
    if (wanted_) engine_->releaseState(name);
  }
  void state(bool write) {
    const std::string name = in_.text();
    const size_t offset = in_.read<uint64_t>();
    const std::vector<char> data = in_.blob();
    if (!wanted_) return;
    if (write) return engine_->writeState(name, offset, reinterpret_cast<const float*>(data.data()), data.size() / 4);
    std::vector<char> got(data.size());
    engine_->readState(name, offset, reinterpret_cast<float*>(got.data()), got.size() / 4);
    compare("state " + name, got, data, DType::f32, settings_.states);
  }
  void load() {
    const uint32_t id = in_.read<uint32_t>();
    const std::vector<char> plan = in_.blob();
    if (!wanted_) return;
    programs_[id] = engine_->load(reinterpret_cast<const uint8_t*>(plan.data()), plan.size());
    for (const PlannedTensor& t : programs_[id]->plan().tensors) {
      if (t.dtype != DType::i32) coarsest_ = std::max(coarsest_, t.dtype);
    }
  }
  void write() {
    const uint32_t id = in_.read<uint32_t>();
    const std::string name = in_.text();
    const std::vector<char> data = in_.blob();
    if (wanted_) programs_.at(id)->write(name, data.data(), data.size());
  }
  void runProgram() {
    const uint32_t id = in_.read<uint32_t>();
    const uint8_t flags = in_.read<uint8_t>();
    RunOptions options;
    options.checkFinite = flags & 1, options.checkWrites = flags & 2, options.record = !(flags & 4), options.wait = !(flags & 8);
    if (wanted_) programs_.at(id)->run(options);
  }
  void read() {
    const uint32_t id = in_.read<uint32_t>();
    const std::string name = in_.text();
    const std::vector<char> expected = in_.blob();
    if (!wanted_) return;
    const PlannedTensor& t = programs_.at(id)->result(name);
    std::vector<char> got(t.bytes);
    programs_.at(id)->read(t, got.data(), got.size());
    compare(name, got, expected, t.dtype);
  }
  void drop() {
    const uint32_t id = in_.read<uint32_t>();
    if (wanted_) programs_.at(id)->dispose();
  }
  void compare(const std::string& tensor, const std::vector<char>& got, const std::vector<char>& expected, DType dtype,
               double least = 0) {
    const double error = got.size() == expected.size() ? relativeError(got, expected, dtype) : INFINITY;
    all_.push_back({title_, tensor, error, std::max(least, settings_.bounds[static_cast<int>(coarsest_)])});
  }

  const Settings& settings_;
  Reader& in_;
  std::vector<Comparison>& all_;
  std::string title_;
  bool wanted_ = true;
  std::shared_ptr<Engine> engine_;
  std::map<uint32_t, std::shared_ptr<Program>> programs_;
  DType coarsest_ = DType::f32;
};

Settings parse(int argc, char** argv) {
  Settings s;
  const auto usage = [] {
    fprintf(stderr, "usage: tlora-replay FILE... [--device cuda:N] [--bounds F32,F16,BF16] [--states BOUND] [--filter TEXT] [--worst N]\n");
    exit(2);
  };
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const bool option = word.starts_with("--");
    if (option && i + 1 == argc) usage();
    if (!option) {
      s.files.push_back(word);
    } else if (word == "--device") {
      s.device = argv[++i];
    } else if (word == "--states") {
      s.states = atof(argv[++i]);
    } else if (word == "--filter") {
      s.filter = argv[++i];
    } else if (word == "--worst") {
      s.worst = static_cast<size_t>(atoi(argv[++i]));
    } else if (word != "--bounds" || sscanf(argv[++i], "%lf,%lf,%lf", &s.bounds[0], &s.bounds[1], &s.bounds[2]) != 3) {
      usage();
    }
  }
  if (s.files.empty()) usage();
  return s;
}

const Backend& openBackend(const Settings& settings) {
  if (!parseDevice(settings.device).cuda) return cpuBackend();
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, length > 0 ? static_cast<size_t>(length) : 0);
  const auto variable = [](const char* name) { return std::string(getenv(name) ? getenv(name) : ""); };
  std::string reason;
  const Backend* backend =
      openCudaBackend({self.substr(0, self.find_last_of('/')), variable("TLORA_CUDA_LIBRARY"), variable("TLORA_NVIDIA_ROOT")}, reason);
  if (!backend) fail(kDevice, "%s", reason.c_str());
  return *backend;
}

int run(const Settings& settings) {
  const Backend& backend = openBackend(settings);
  std::vector<Comparison> all;
  for (const std::string& path : settings.files) {
    Reader in(path);
    while (!in.ended()) {
      if (in.read<uint8_t>() != 1) fail(kFileFormat, "%s is not a trace", path.c_str());
      Replay(settings, backend, in, all).run();
    }
  }
  // By how far they are from their bounds.
  std::sort(all.begin(), all.end(), [](const Comparison& a, const Comparison& b) {
    if (a.passed() != b.passed()) return b.passed();
    return a.error * b.bound > b.error * a.bound;
  });
  const size_t failed = static_cast<size_t>(std::count_if(all.begin(), all.end(), [](const Comparison& c) { return !c.passed(); }));
  for (size_t i = 0; i < std::min(all.size(), settings.worst); i++) {
    const Comparison& c = all[i];
    printf("%s  %s: %s: error %.2e, bound %.0e\n", c.passed() ? "pass" : "FAIL", c.title.c_str(), c.tensor.c_str(), c.error, c.bound);
  }
  printf("%zu tensors compared, %zu failed\n", all.size(), failed);
  return failed == 0 && !all.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    fprintf(stderr, "tlora-replay: %s\n", error.what());
    return 1;
  }
}
