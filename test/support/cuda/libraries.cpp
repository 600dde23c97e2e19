#include "cuda/libraries.h"

#include <cstdlib>
#include <sstream>

#include "cuda/trials.h"
#include "emulatedLibraries.h"

namespace tlora::cuda {
namespace {

constexpr double kFails = -1;
constexpr const char *kOnly = "emulated", *kOwn = "own";

std::string nameOf(size_t algorithm) { return std::string(kOnly) + " " + std::to_string(algorithm); }

// Queues work that takes so long by the emulated clock.
void queue(const Context& context, const EmulatedCall& call, const std::function<void()>& work, double ms) {
  if (ms == kFails) fail(kDevice, "an algorithm that fails (%s)", call.shape.c_str());
  emulated::enqueue(context.stream, [work, ms] {
    work();
    emulated::pass(ms);
  });
}

Choice choose(const Context& context, const EmulatedCall& call) {
  const std::vector<double> planted = plantedMs(call.shape), ownMs = plantedMs("own " + call.shape);
  if (planted.empty()) return {kOnly, ""};
  const Trying trying(context);
  const std::function<void()> work = trying ? call.tried() : nullptr;
  std::vector<std::function<void()>> ways;
  for (const double ms : planted) {
    ways.push_back([&, ms] { queue(context, call, work, ms); });
  }
  if (call.own && !ownMs.empty()) {
    ways.push_back([&] {
      call.own();
      queue(context, call, [] {}, ownMs[0]);
    });
  }
  const Verdict verdict = work && ways.size() > 1 ? tryAll(*context.stopwatch, ways) : Verdict{};
  return {verdict.fastest < planted.size() ? nameOf(verdict.fastest) : kOwn, verdict.times};
}

void take(const EmulatedCall& call, const std::string& algorithm) {
  if (algorithm == kOnly || (algorithm == kOwn && call.own)) return;
  for (size_t i = 0; i < plantedMs(call.shape).size(); i++) {
    if (algorithm == nameOf(i)) return;
  }
  fail(kDevice, "the kept choice of an algorithm cannot be read: %s (%s)", algorithm.c_str(), call.shape.c_str());
}

}  // namespace

std::vector<double> plantedMs(const std::string& shape) {
  const char* text = getenv("TLORA_EMULATED_TIMES");
  std::istringstream all(text ? text : "");
  for (std::string one; std::getline(all, one, ';');) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos || shape.compare(0, equals, one, 0, equals) != 0) continue;
    std::vector<double> times;
    std::istringstream list(one.substr(equals + 1));
    for (std::string ms; std::getline(list, ms, ',');) times.push_back(ms == "-" ? kFails : strtod(ms.c_str(), nullptr));
    return times;
  }
  return {};
}

bool runEmulated(const Context& context, const EmulatedCall& call) {
  std::string chosen;
  context.libraries->choices.settle(
      call.shape,
      [&](const std::string& algorithm) {
        take(call, algorithm);
        chosen = algorithm;
      },
      [&] {
        const Choice choice = choose(context, call);
        chosen = choice.algorithm;
        return choice;
      });
  if (chosen == kOwn) return false;
  const std::vector<double> planted = plantedMs(call.shape);
  for (size_t i = 0; i < planted.size(); i++) {
    if (chosen == nameOf(i) && planted[i] == kFails) queue(context, call, call.work, kFails);
  }
  emulated::enqueue(context.stream, call.work);
  return true;
}

Libraries* openLibraries(cudaStream_t) { return new Libraries{Choices({"emulated", "emulated", "emulated"})}; }

void closeLibraries(Libraries* libraries) { delete libraries; }

std::string exportChoices(const Libraries& libraries) { return libraries.choices.json(); }

bool importChoices(Libraries& libraries, std::string_view json, bool suggestions, Reason& reason) {
  return libraries.choices.read(json, suggestions, reason);
}

}  // namespace tlora::cuda
