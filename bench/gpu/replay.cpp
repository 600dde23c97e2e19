// tlora-replay FILE... [--device cuda:N] [--bounds F32,F16,BF16] [--states BOUND] [--filter TEXT] [--last TEXT,...] [--from N] [--each SECONDS]
//              [--seconds SECONDS] [--worst N] [--json FILE] [--name NAME]
// Does again, on a device, what bench/gpu/recordTrace.ts recorded, engine by engine, and compares everything that is read with what was read
// then: the relative error |got - recorded| / |recorded| (2-norms over the tensor) may be at most the bound of the least precise type that the
// engine's plans hold; --states is the least bound of state buffers, in which rounding grows over steps. Integers must be equal. Of the engines
// whose title holds --filter, those whose title begins with a text of --last come last; --from: the first to be done, counted from 0.
// --json: a line at once for all that is known, so that nothing is lost whatever ends the process, headed by --name:
//   {"engine", "of", "title"}, then {"engine", "ops", "tensor", "type", "error", "bound", "passed"} or {"engine", "failed"}, then {"engine", "ended"};
//   {"finished"} or, after --seconds, {"stopped"}.
// Exit status: 0 something was compared and all was within its bound; 1 not so; 3 the device cannot be used any more, or an engine took longer
// than --each: a new process may go on from the engine after the last one; 4 the --seconds are over.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "core/backend_library.h"
#include "core/engine.h"
#include "core/half.h"
#include "replay_log.h"

namespace {

using namespace tlora;

class Reader {
 public:
  explicit Reader(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(kFileFormat, "%s cannot be opened", path.c_str());
    data_.assign(std::istreambuf_iterator<char>(file), {});
  }
  bool ended() const { return at_ == data_.size(); }
  size_t at() const { return at_; }
  void go(size_t at) { at_ = at; }
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

double relativeError(const std::vector<char>& got, const std::vector<char>& expected, DType dtype) {
  if (dtype == DType::i32) return got == expected ? 0 : INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size() / dtypeBytes(dtype); i++) {
    const double g = floatAt(got.data(), dtype, static_cast<int64_t>(i)), e = floatAt(expected.data(), dtype, static_cast<int64_t>(i));
    if ((std::isinf(e) && g == e) || (std::isnan(e) && std::isnan(g))) continue;  // some tests are about these
    difference += (g - e) * (g - e);
    size += e * e;
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

// One engine of a trace; without a log it is only read past.
class Replay {
 public:
  Replay(const Settings& settings, const Backend& backend, Reader& in, Log* log) : settings_(settings), in_(in), log_(log) {
    if (in_.read<uint8_t>() != 1) fail(kFileFormat, "the file is not a trace");
    title_ = in_.text();
    const bool tf32 = in_.read<uint8_t>() != 0;
    wanted_ = log != nullptr;
    options_ = {parseDevice(settings.device).index, tf32};
    guarded([&] {
      if (wanted_) engine_ = std::make_shared<Engine>(backend, 1, options_);
    });
  }
  ~Replay() {
    if (engine_) engine_->dispose();
  }
  const std::string& title() const { return title_; }

  // A failure ends this engine's part, but not the whole.
  void run() {
    for (uint8_t tag = in_.read<uint8_t>(); tag != 13; tag = in_.read<uint8_t>()) {
      guarded([&] { step(tag); });
    }
  }
  bool failed() const { return failed_; }

 private:
  template <class Body>
  void guarded(Body body) {
    try {
      body();
    } catch (const Error& error) {
      if (!wanted_ || error.code == kFileFormat) throw;
      log_->failed(error.what());
      wanted_ = false;
      failed_ = true;
    }
  }
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
    ops_.clear();
    for (const PlannedCall& call : decodePlan(reinterpret_cast<const uint8_t*>(plan.data()), plan.size()).calls) ops_.insert(call.op);
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
    const double bound = std::max(least, settings_.bounds[static_cast<int>(coarsest_)]);
    log_->compared({title_, opsText(), tensor, coarsest_, error, bound});
  }
  // Those of the program that was loaded last, the first few.
  std::string opsText() const {
    std::string text;
    size_t count = 0;
    for (const std::string& op : ops_) {
      if (count++ < 4) text += (text.empty() ? "" : " ") + op;
    }
    return count > 4 ? text + " and " + std::to_string(count - 4) + " more" : text;
  }

  const Settings& settings_;
  Reader& in_;
  Log* log_;
  std::string title_;
  DeviceOptions options_;
  bool wanted_ = true, failed_ = false;
  std::shared_ptr<Engine> engine_;
  std::map<uint32_t, std::shared_ptr<Program>> programs_;
  std::set<std::string> ops_;
  DType coarsest_ = DType::f32;
};

Settings parse(int argc, char** argv) {
  Settings s;
  const auto usage = [] {
    fprintf(stderr, "usage: tlora-replay FILE... [--device cuda:N] [--bounds F32,F16,BF16] [--states BOUND] [--filter TEXT] [--last TEXT,...] "
            "[--from N] [--each SECONDS] [--seconds SECONDS] [--worst N] [--json FILE] [--name NAME]\n");
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
    } else if (word == "--last") {
      std::istringstream list(argv[++i]);
      for (std::string text; std::getline(list, text, ',');) s.last.push_back(text);
    } else if (word == "--from") {
      s.from = static_cast<size_t>(atoll(argv[++i]));
    } else if (word == "--each") {
      s.each = atoi(argv[++i]);
    } else if (word == "--seconds") {
      s.seconds = atoi(argv[++i]);
    } else if (word == "--json") {
      s.json = argv[++i];
    } else if (word == "--name") {
      s.name = argv[++i];
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
  const LibrarySearch search{self.substr(0, self.find_last_of('/')), variable("TLORA_CUDA_LIBRARY"), variable("TLORA_NVIDIA_ROOT")};
  std::string reason, lacking;
  const Backend* backend = openCudaBackend(search, reason, lacking);
  if (!backend) fail(kDevice, "%s", reason.c_str());
  if (!lacking.empty()) fprintf(stderr, "warning: %s\n", lacking.c_str());
  return *backend;
}

// Whether an engine can still be opened and used: a kernel that fails ends that for the whole process.
bool alive(const Settings& settings, const Backend& backend) {
  try {
    const auto engine = std::make_shared<Engine>(backend, 1, DeviceOptions{parseDevice(settings.device).index, false});
    float value = 1;
    engine->createState("alive", 1);
    engine->writeState("alive", 0, &value, 1);
    engine->readState("alive", 0, &value, 1);
    engine->dispose();
    return value == 1;
  } catch (const Error&) {
    return false;
  }
}

struct Recorded {
  Reader* in;
  size_t at;
  std::string title;
};

std::vector<Recorded> recordedIn(const Settings& settings, const Backend& backend, std::vector<Reader>& readers) {
  std::vector<Recorded> all;
  for (Reader& in : readers) {
    while (!in.ended()) {
      const size_t at = in.at();
      Replay passed(settings, backend, in, nullptr);
      passed.run();
      if (passed.title().find(settings.filter) != std::string::npos) all.push_back({&in, at, passed.title()});
    }
  }
  std::stable_partition(all.begin(), all.end(), [&](const Recorded& one) {
    return std::none_of(settings.last.begin(), settings.last.end(), [&](const std::string& text) { return one.title.starts_with(text); });
  });
  return all;
}

int run(const Settings& settings) {
  std::vector<Reader> readers;
  for (const std::string& path : settings.files) readers.emplace_back(path);
  const Backend& backend = openBackend(settings);
  const std::vector<Recorded> all = recordedIn(settings, backend, readers);
  Log log(settings);
  for (size_t i = settings.from; i < all.size(); i++) {
    log.begin(i, all.size(), all[i].title);
    all[i].in->go(all[i].at);
    bool failed;
    {
      Replay replay(settings, backend, *all[i].in, &log);
      replay.run();
      failed = replay.failed();
    }
    const bool lost = failed && !alive(settings, backend);
    log.end();
    if (!lost) continue;
    printf("the device cannot be used any more after engine %zu of %zu\n", i, all.size());
    return 3;
  }
  return log.finish() ? 0 : 1;
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
