// tlora-bench-ops THREADS OPENBLAS: tlora's kernels and the libraries' in one process, run when they are asked to.
// One request a line, one answer a line of JSON:
//   plan FILE RANK        loads an encoded plan; weights and inputs are made up, integers are RANK
//   product ...           prepares OpenBLAS (contender.h)
//   conv ...              prepares oneDNN
//   time NAME [RUNS]      runs tlora, openblas or onednn once, or several times in a row: seconds of one by the clock, of this thread,
//                         of the whole process
//   peak                  what one thread does at most now, in floating-point operations a second
//   bits                  a hash of all results of the plan
//   drop                  forgets all of it
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "contender.h"
#include "core/engine.h"
#include "core/half.h"
#include "cpu/simd.h"

namespace {

using namespace tlora;
using bench::Floats;
using bench::Work;

// Rounds toward zero; what is too small for a normal float16 becomes 0.
uint16_t toHalf(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x), exponent = (u >> 23) & 255;
  return static_cast<uint16_t>(((u >> 16) & 0x8000) | (exponent < 113 ? 0 : ((exponent - 112) << 10) | ((u >> 13) & 1023)));
}

// Kept statistics must be possible ones: logarithms of sums over keys are about 8, deviations positive.
float statistic(const std::string& name, float x) {
  if (name == "lse") return 8 + x;
  return name == "rstd" ? 1 + x / 2 : x;
}

class Ours {
 public:
  Ours(const std::string& file, int threads, int32_t rank) : engine_(std::make_shared<Engine>(cpuBackend(), threads)) {
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    const Plan plan = decodePlan(data, bytes.size());
    addWeights(plan);
    program_ = engine_->load(data, bytes.size());
    for (const NamedTensor& input : plan.inputs) write(input.name, plan.tensors[input.tensor], rank);
  }
  ~Ours() { engine_->dispose(); }
  void run() { program_->run({}); }

  // FNV-1a over the bytes of all results.
  uint64_t bits() const {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (const NamedTensor& named : program_->plan().results) {
      const PlannedTensor& t = program_->result(named.name);
      std::vector<unsigned char> bytes(t.bytes);
      program_->read(t, bytes.data(), t.bytes);
      for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3ull;
    }
    return hash;
  }

 private:
  void addWeights(const Plan& plan) {
    std::set<std::string> added;
    for (const PlannedTensor& t : plan.tensors) {
      if (t.place != Place::weight || !added.insert(t.buffer).second) continue;
      const int64_t count = static_cast<int64_t>(t.bytes / dtypeBytes(t.dtype));
      const Floats values(count);
      const float scale = 1 / std::sqrt(static_cast<float>(count / t.dims[0]));
      WeightSource source;
      source.name = t.buffer;
      source.dtype = t.dtype;
      source.shape.assign(t.dims, t.dims + t.rank);
      source.matrix = t.matrix;
      std::vector<uint16_t> halves(t.dtype == DType::f16 ? count : 0);
      for (size_t i = 0; i < halves.size(); i++) halves[i] = toHalf(values.data[i] * scale);
      const void* data = halves.empty() ? static_cast<const void*>(values.data) : halves.data();
      engine_->addWeight(source, data, t.bytes);
    }
  }

  void write(const std::string& name, const PlannedTensor& t, int32_t rank) {
    const int64_t count = static_cast<int64_t>(t.bytes / 4);
    const Floats values(count);
    for (int64_t i = 0; i < count; i++)
      values.data[i] = t.dtype == DType::i32 ? std::bit_cast<float>(rank) : statistic(name, values.data[i]);
    program_->write(name, values.data, t.bytes);
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Program> program_;
};

std::string quoted(const std::string& text) {
  std::string made(1, '"');
  return made.append(text).append(1, '"');
}

double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

class Bench {
 public:
  Bench(int threads, const char* openblas) : threads_(threads), openblas_(openblas) {}

  std::string answer(std::istream& words) {
    std::string verb;
    words >> verb;
    if (verb == "plan") return plan(words);
    if (verb == "product") works_["openblas"] = bench::openblasProduct(openblas_, threads_, words);
    else if (verb == "conv") return convolution(words);
    else if (verb == "time") return time(words);
    else if (verb == "peak") return std::to_string(bench::peakFlops());
    else if (verb == "bits") return quoted(std::to_string(ours_->bits()));
    else if (verb == "drop") drop();
    else throw std::runtime_error("no such request: " + verb);
    return "true";
  }

 private:
  std::string plan(std::istream& words) {
    std::string file;
    int32_t rank;
    words >> file >> rank;
    ours_ = std::make_unique<Ours>(file, threads_, rank);
    works_["tlora"] = [this] { ours_->run(); };
    return "true";
  }

  std::string convolution(std::istream& words) {
    std::string about;
    Work work = bench::onednnConvolution(words, about);
    if (!work) return "false";
    works_["onednn"] = std::move(work);
    return quoted(about);
  }

  std::string time(std::istream& words) const {
    std::string name;
    int runs;
    words >> name;
    if (!(words >> runs)) runs = 1;
    const Work& work = works_.at(name);
    constexpr clockid_t kClocks[] = {CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID};
    double taken[3];
    for (int i = 0; i < 3; i++) taken[i] = -seconds(kClocks[i]);
    for (int i = 0; i < runs; i++) work();
    for (int i = 2; i >= 0; i--) taken[i] = (taken[i] + seconds(kClocks[i])) / runs;
    if (name == "openblas") rest();
    char text[128];
    std::snprintf(text, sizeof text, "{\"wall\":%.9f,\"thread\":%.9f,\"process\":%.9f}", taken[0], taken[1], taken[2]);
    return text;
  }

  // OpenBLAS's threads go on looking for work for some 25 ms after a product and would keep a core from what comes next.
  void rest() const {
    if (threads_ > 1) std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }

  void drop() {
    works_.clear();
    ours_.reset();
  }

  int threads_;
  const char* openblas_;
  std::unique_ptr<Ours> ours_;
  std::map<std::string, Work> works_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s THREADS OPENBLAS\n", argv[0]);
    return 2;
  }
  std::cout << "{\"cpu\":\"" << cpuPathName() << "\"}" << std::endl;
  Bench bench(std::atoi(argv[1]), argv[2]);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    try {
      std::cout << bench.answer(words) << std::endl;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "tlora-bench-ops: %s: %s\n", line.c_str(), error.what());
      return 1;
    }
  }
  return 0;
}
