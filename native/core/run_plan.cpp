// tlora-run-plan FILE... [--device cpu|cuda|cuda:N] [--tf32] [--threads N] [--repeat N] [--seconds N] [--set INPUT=NUMBER] [--no-record]
//                [--profile] [--check] [--guard] [--ops] [--fixed] [--dependent] [--attention MIB] [--json FILE]
// Runs an encoded plan (npx tlora plan --emit FILE) without Node, for profilers, sanitizers and bare machines. CUDA needs tlora_cuda.so
// beside this program, or TLORA_CUDA_LIBRARY; TLORA_NVIDIA_ROOT is heeded too.
// Weights, state and inputs are made up from a fixed seed, but --set fills an input with one number (--set activeRank=64). The sums of
// the results are printed, to compare two builds. --ops: the calls of equal ops and sizes, one behind the other in one recording and from memory.
// --fixed: the first algorithm of the libraries' order for each shape; otherwise they are tried against each other, and the fastest is taken.
// --dependent: every run also on a second engine, in turns, whose kernels are launched dependent (TLORA_DEPENDENT_LAUNCH=1), with the same algorithms;
// fails unless results and state have the same bits at the end.
// --attention: memory beside the workspace for what the gradient of attention keeps.
// --seconds: no run is begun after them but those that warm up.
// --json: appends one object a line: of a plan and of the algorithms chosen for it, or with --ops of every op and its sizes.
// Fails where a recording was wanted and could not be made.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "backend_library.h"
#include "engine.h"
#include "half.h"
#include "made_up.h"

namespace {

using namespace tlora;

// A device's first run goes call by call, and its second makes a recording.
constexpr int kWarmUp = 3;
constexpr double kTrialMs = 30'000;
constexpr char kUnrecorded[] = "the calls went one by one, as they could not be recorded: %s";

struct Arguments {
  std::vector<std::string> files;
  std::string json;  // where to append figures; empty: nowhere
  bool ops = false;
  bool fixed = false;
  bool dependent = false;
  size_t attentionBytes = 0;
  int threads = 0;  // 0: as the plan says
  int repeat = 1;
  int seconds = 0;  // after which no run is begun any more, of those behind the warm-up; 0: without limit
  std::string device = "cpu";
  bool tf32 = false;
  std::map<std::string, double> set;
  RunOptions run;
};

[[noreturn]] void usage() {
  fprintf(stderr,
          "usage: tlora-run-plan FILE... [--device cpu|cuda|cuda:N] [--tf32] [--threads N] [--repeat N] [--seconds N] [--set INPUT=NUMBER] "
          "[--no-record] [--profile] [--check] [--guard] [--ops] [--fixed] [--dependent] [--attention MIB] [--json FILE]\n");
  exit(2);
}

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const auto number = [&] {
      const int n = i + 1 < argc ? atoi(argv[++i]) : 0;
      if (n < 1) usage();
      return n;
    };
    if (word == "--threads") {
      a.threads = number();
    } else if (word == "--repeat") {
      a.repeat = number();
    } else if (word == "--seconds") {
      a.seconds = number();
    } else if (word == "--device") {
      if (i + 1 == argc) usage();
      a.device = argv[++i];
    } else if (word == "--set") {
      const std::string given = i + 1 < argc ? argv[++i] : "";
      const size_t equals = given.find('=');
      if (equals == std::string::npos) usage();
      a.set[given.substr(0, equals)] = atof(given.c_str() + equals + 1);
    } else if (word == "--json") {
      if (i + 1 == argc) usage();
      a.json = argv[++i];
    } else if (word == "--ops") {
      a.ops = true;
    } else if (word == "--attention") {
      a.attentionBytes = size_t(number()) << 20;
    } else if (word == "--fixed") {
      a.fixed = true;
    } else if (word == "--dependent") {
      a.dependent = true;
    } else if (word == "--tf32") {
      a.tf32 = true;
    } else if (word == "--no-record") {
      a.run.record = false;
    } else if (word == "--profile") {
      a.run.profile = true;
    } else if (word == "--check") {
      a.run.checkFinite = true;
    } else if (word == "--guard") {
      a.run.checkWrites = true;
    } else if (word.starts_with("--")) {
      usage();
    } else {
      a.files.push_back(word);
    }
  }
  if (a.files.empty()) usage();
  a.run.time = true;
  return a;
}

// `[n,t,c] [c,o] -> [n,t,o]`: what a call reads and writes.
std::string sizesOf(const Plan& plan, const PlannedCall& call) {
  std::string text;
  const auto add = [&](int32_t index) {
    if (index == kNone) return;
    const PlannedTensor& t = plan.tensors[index];
    static constexpr const char* kTypes[] = {"", "f16", "bf16", "i32"};
    text.append(" ").append(kTypes[static_cast<int>(t.dtype)]).append("[");
    for (int i = 0; i < t.rank; i++) text.append(i > 0 ? "," : "").append(std::to_string(t.dims[i]));
    text.append("]");
  };
  for (const int32_t i : call.inputs) add(i);
  text += " ->";
  for (const int32_t i : call.outputs) add(i);
  return text;
}

void printTable(const Plan& plan, const std::vector<double>& callMs, bool bySizes, size_t most) {
  struct Sum {
    double ms = 0;
    int calls = 0;
  };
  std::map<std::string, Sum> sums;
  double total = 0;
  for (size_t i = 0; i < callMs.size(); i++) {
    Sum& sum = sums[plan.calls[i].op + (bySizes ? sizesOf(plan, plan.calls[i]) : "")];
    sum.ms += callMs[i];
    sum.calls++;
    total += callMs[i];
  }
  std::vector<std::pair<std::string, Sum>> sorted(sums.begin(), sums.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.ms > b.second.ms; });
  for (size_t i = 0; i < std::min(most, sorted.size()); i++) {
    const auto& [name, sum] = sorted[i];
    printf("%-24s %6d calls %12.3f ms %6.1f %%\n", name.c_str(), sum.calls, sum.ms, 100 * sum.ms / total);
  }
  printf("%-24s %6zu calls %12.3f ms\n", "together", callMs.size(), total);
}

void printResults(Program& program) {
  for (const NamedTensor& named : program.plan().results) {
    const PlannedTensor& t = program.result(named.name);
    std::vector<char> bytes(t.bytes);
    program.read(t, bytes.data(), t.bytes);
    double sum = 0, size = 0;
    for (size_t i = 0; i < t.bytes / dtypeBytes(t.dtype); i++) {
      int32_t whole;
      memcpy(&whole, &bytes[i * dtypeBytes(t.dtype)], dtypeBytes(t.dtype) == 4 ? 4 : 2);
      const double x = t.dtype == DType::i32 ? whole : floatAt(bytes.data(), t.dtype, static_cast<int64_t>(i));
      sum += x;
      size += std::abs(x);
    }
    printf("%s: sum %.9g, sum of sizes %.9g\n", named.name.c_str(), sum, size);
  }
}

std::string ownFolder() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string file(path, length > 0 ? static_cast<size_t>(length) : 0);
  return file.substr(0, file.find_last_of('/'));
}

std::string variable(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

std::shared_ptr<Engine> openEngine(const Arguments& a, const Plan& plan) {
  const DeviceName device = parseDevice(a.device);
  std::string reason, lacking;
  const LibrarySearch search{ownFolder(), variable("TLORA_CUDA_LIBRARY"), variable("TLORA_NVIDIA_ROOT")};
  const Backend* backend = device.cuda ? openCudaBackend(search, reason, lacking) : &cpuBackend();
  if (!backend) fail(kDevice, "device %s: %s", a.device.c_str(), reason.c_str());
  if (!lacking.empty()) fprintf(stderr, "warning: %s\n", lacking.c_str());
  return std::make_shared<Engine>(*backend, a.threads ? a.threads : plan.threads, DeviceOptions{device.index, a.tf32, a.attentionBytes, a.fixed ? 0 : kTrialMs});
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// Appends a line to the file of figures.
void note(const Arguments& a, const std::string& line) {
  if (a.json.empty()) return;
  std::ofstream file(a.json, std::ios::app);
  file << line << "\n";
  if (!file) fail(kFileFormat, "%s cannot be written", a.json.c_str());
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

// The name of a plan's file without folders and ending.
std::string planName(const std::string& file) {
  const std::string name = file.substr(file.find_last_of('/') + 1);
  return name.substr(0, name.find_last_of('.'));
}

size_t bytesOf(const Plan& plan, const PlannedCall& call) {
  size_t sum = 0;
  for (const auto* list : {&call.inputs, &call.outputs}) {
    for (const int32_t i : *list) sum += i == kNone ? 0 : plan.tensors[i].bytes;
  }
  return sum;
}

// The call that moves most is run between the turns. Not adamw, which moves nothing where values are not finite, as they soon are when calls
// run out of their order. Inputs are read and outputs written once: `bytes` of one call. `first` is the call by which the plan's maker knows its operations.
void timeOps(const Arguments& a, const std::string& file, Program& program) {
  const Plan& plan = program.plan();
  std::map<std::string, std::vector<size_t>> groups;
  size_t flush = 0;
  for (size_t i = 0; i < plan.calls.size(); i++) {
    groups[plan.calls[i].op + sizesOf(plan, plan.calls[i])].push_back(i);
    const bool larger = bytesOf(plan, plan.calls[i]) > bytesOf(plan, plan.calls[flush]);
    if (larger && plan.calls[i].op != "adamw") flush = i;
  }
  for (const auto& [name, which] : groups) {
    const PlannedCall& call = plan.calls[which[0]];
    const double ms = median(program.timeCalls(which, flush, a.repeat));
    note(a, "{\"plan\":" + quoted(planName(file)) + ",\"op\":" + quoted(call.op) + ",\"sizes\":" + quoted(sizesOf(plan, call)) +
                ",\"calls\":" + std::to_string(which.size()) + ",\"first\":" + std::to_string(which[0]) +
                ",\"bytes\":" + std::to_string(bytesOf(plan, call)) + ",\"ms\":" + std::to_string(ms) + "}");
  }
  printf("%zu ops and sizes timed\n", groups.size());
}

// `launches`: "plain" or "dependent" where both are timed.
void noteRuns(const Arguments& a, const std::string& name, const std::vector<double>& ms, const Engine& engine, const std::string& launches = "") {
  std::string list;
  for (const double one : ms) list.append(list.empty() ? "" : ",").append(std::to_string(one));
  note(a, "{\"plan\":" + quoted(name) + ",\"fixed\":" + (a.fixed ? "true" : "false") + (launches.empty() ? "" : ",\"launches\":" + quoted(launches)) +
              ",\"medianMs\":" + std::to_string(median(ms)) + ",\"peakBytes\":" +
              std::to_string(engine.memory().peak()) + ",\"ms\":[" + list + "]}");
}

// What the libraries chose, with the times of what was tried.
void noteChoices(const Arguments& a, const std::string& name, const Engine& engine) {
  std::string choices = engine.choices();
  std::replace(choices.begin(), choices.end(), '\n', ' ');
  if (!choices.empty()) note(a, "{\"plan\":" + quoted(name) + ",\"algorithms\":" + choices + "}");
}

// A plan on an engine of its own, with everything made up.
struct Prepared {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<Program> program;
  size_t freeBefore = 0;
};

Prepared prepare(const Arguments& a, const Plan& plan, const std::vector<char>& encoded) {
  Prepared made{openEngine(a, plan), nullptr, 0};
  made.freeBefore = made.engine->freeBytes();
  Random random;
  addWeights(*made.engine, plan, random);
  createStates(*made.engine, plan, random);
  made.program = made.engine->load(reinterpret_cast<const uint8_t*>(encoded.data()), encoded.size());
  for (const NamedTensor& named : plan.inputs) {
    const PlannedTensor& t = plan.tensors[named.tensor];
    const auto set = a.set.find(named.name);
    const std::vector<char> values = set == a.set.end() ? madeUpInput(t, random) : filled(t, set->second);
    made.program->write(named.name, values.data(), values.size());
  }
  return made;
}

// Calls turn(i) until there are --repeat of them, or the time is over.
template <class Turn>
void inTurns(const Arguments& a, Turn turn) {
  const auto began = std::chrono::steady_clock::now();
  const auto late = [&] { return a.seconds > 0 && std::chrono::steady_clock::now() - began > std::chrono::seconds(a.seconds); };
  for (int i = 0; i < a.repeat && (i <= kWarmUp || !late()); i++) turn(i);
}

// Milliseconds of a run, which are not of the device alone where it could not be recorded.
double timeOf(const RunReport& report, std::string& unrecorded) {
  if (unrecorded.empty()) unrecorded = report.unrecorded;
  return report.deviceMs > 0 ? report.deviceMs : report.ms;
}

bool equalBits(const Plan& plan, const Prepared& a, const Prepared& b) {
  bool equal = true;
  const auto compare = [&](const std::string& name, const void* x, const void* y, size_t bytes) {
    if (memcmp(x, y, bytes) == 0) return;
    printf("%s differs\n", name.c_str());
    equal = false;
  };
  for (const NamedTensor& named : plan.results) {
    std::vector<char> x(a.program->result(named.name).bytes), y(x.size());
    a.program->read(a.program->result(named.name), x.data(), x.size());
    b.program->read(b.program->result(named.name), y.data(), y.size());
    compare(named.name, x.data(), y.data(), x.size());
  }
  for (const StateSize& s : plan.states) {
    std::vector<float> x(s.bytes / sizeof(float)), y(x.size());
    a.engine->readState(s.name, 0, x.data(), x.size());
    b.engine->readState(s.name, 0, y.data(), y.size());
    compare("state " + s.name, x.data(), y.data(), s.bytes);
  }
  return equal;
}

void compareLaunches(const Arguments& a, const std::string& from, const Plan& plan, const std::vector<char>& encoded) {
  unsetenv("TLORA_DEPENDENT_LAUNCH");
  const Prepared plain = prepare(a, plan, encoded);
  setenv("TLORA_DEPENDENT_LAUNCH", "1", 1);
  const Prepared dependent = prepare(a, plan, encoded);
  std::vector<double> plainMs, dependentMs;
  std::string unrecorded;
  inTurns(a, [&](int i) {
    const double first = timeOf(plain.program->run(a.run), unrecorded);
    const std::string choices = plain.engine->choices();
    if (i == 0 && !choices.empty()) dependent.engine->choose(choices);
    const double second = timeOf(dependent.program->run(a.run), unrecorded);
    printf("run %d: %.3f ms, launched dependent %.3f\n", i + 1, first, second);
    if (i < kWarmUp && i + 1 < a.repeat) return;
    plainMs.push_back(first);
    dependentMs.push_back(second);
  });
  printf("the last %zu: median %.3f ms, launched dependent %.3f\n", plainMs.size(), median(plainMs), median(dependentMs));
  noteRuns(a, planName(from), plainMs, *plain.engine, "plain");
  noteRuns(a, planName(from), dependentMs, *dependent.engine, "dependent");
  printResults(*plain.program);
  const bool equal = equalBits(plan, plain, dependent);
  note(a, "{\"plan\":" + quoted(planName(from)) + ",\"sameBits\":" + (equal ? "true" : "false") + "}");
  if (!equal) fail(kDevice, "dependent launches gave other bits than plain ones");
  printf("the same bits\n");
  plain.engine->dispose();
  dependent.engine->dispose();
  if (!unrecorded.empty()) fail(kDevice, kUnrecorded, unrecorded.c_str());
}

void run(const Arguments& a, const std::string& from) {
  std::ifstream file(from, std::ios::binary);
  if (!file) fail(kFileFormat, "%s cannot be opened", from.c_str());
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Plan plan = decodePlan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  expectDevice(plan, parseDevice(a.device).cuda ? "cuda" : "cpu");  // before gigabytes of weights are made up
  if (a.dependent) return compareLaunches(a, from, plan, bytes);
  const auto [engine, program, freeBefore] = prepare(a, plan, bytes);
  RunReport report;
  std::string unrecorded;
  std::vector<double> ms, shortest;  // of whole runs; of each call over all runs
  inTurns(a, [&](int i) {
    report = program->run(a.run);
    printf("run %d: %.3f ms, of the device %.3f\n", i + 1, report.ms, report.deviceMs);
    const double time = timeOf(report, unrecorded);
    if (i >= kWarmUp || i + 1 == a.repeat) ms.push_back(time);
    if (i == 0) shortest = report.callMs;
    for (size_t c = 0; c < shortest.size(); c++) shortest[c] = std::min(shortest[c], report.callMs[c]);
  });
  printf("the last %zu: median %.3f ms, least %.3f ms\n", ms.size(), median(ms), *std::min_element(ms.begin(), ms.end()));
  noteRuns(a, planName(from), ms, *engine);
  noteChoices(a, planName(from), *engine);
  if (a.run.profile) {
    printTable(plan, shortest, false, SIZE_MAX);
    printTable(plan, shortest, true, 100);
  }
  printResults(*program);
  printf("calls %zu, threads %d, arena %zu bytes, peak %zu bytes, of which workspace %zu\n", plan.calls.size(),
         engine->threads(), plan.arenaBytes, engine->memory().peak(), engine->memory().bytes(Use::workspace));
  printf("free on the device: %zu bytes at first, %zu now\n", freeBefore, engine->freeBytes());
  if (a.ops) timeOps(a, from, *program);
  engine->dispose();
  if (!unrecorded.empty()) fail(kDevice, kUnrecorded, unrecorded.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);  // what was said is there even if the process is ended
  try {
    const Arguments arguments = parse(argc, argv);
    for (const std::string& file : arguments.files) run(arguments, file);
    return 0;
  } catch (const std::exception& error) {
    fprintf(stderr, "tlora-run-plan: %s\n", error.what());
    return 1;
  }
}
