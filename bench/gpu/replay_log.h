// What tlora-replay is told to do, and what it says of what it did.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/tensor.h"

namespace tlora {

using Clock = std::chrono::steady_clock;

struct Settings {
  Clock::time_point began = Clock::now();  // libraries and files are yet to be opened
  std::vector<std::string> files;
  std::string device = "cuda", filter, json, name;
  std::vector<std::string> last;
  size_t from = 0;
  int each = 60, seconds = 0;  // 0: without limit
  double bounds[3] = {2e-5, 3e-3, 2e-2};  // in the order of DType
  double states = 0;
  size_t worst = 10;
};

inline constexpr const char* kTypes[] = {"f32", "f16", "bf16", "i32"};

struct Comparison {
  std::string title, ops, tensor;
  DType type;
  double error, bound;
  bool passed() const { return error <= bound; }  // never for NaN
  std::string text() const {
    char numbers[80];
    snprintf(numbers, sizeof numbers, "error %.2e, bound %.0e", error, bound);
    return title + " (" + ops + "): " + tensor + " " + kTypes[int(type)] + ": " + numbers;
  }
};

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '"';
}

inline std::string number(double x) {
  char text[40];
  snprintf(text, sizeof text, "%.4g", x);
  return std::isnan(x) ? "NaN" : std::isinf(x) ? "Infinity" : text;
}

// What is known goes to the screen and to the file of figures at once. A second thread ends the process when a time is over: the first may
// wait for a device that never answers.
class Log {
 public:
  explicit Log(const Settings& settings) : settings_(settings) {
    if (!settings.json.empty()) {
      file_ = fopen(settings.json.c_str(), "a");
      if (!file_) fail(kFileFormat, "%s cannot be written", settings.json.c_str());
    }
    watch_ = std::thread([this] {
      for (; !done_; std::this_thread::sleep_for(std::chrono::milliseconds(50))) look();
    });
  }
  ~Log() {
    done_ = true;
    watch_.join();
    if (file_) fclose(file_);
  }
  void begin(size_t engine, size_t of, const std::string& title) {
    const std::lock_guard lock(mutex_);
    engine_ = engine, title_ = title, engineBegan_ = Clock::now(), running_ = true;
    line("\"engine\":" + std::to_string(engine) + ",\"of\":" + std::to_string(of) + ",\"title\":" + quoted(title));
  }
  void end() {
    const std::lock_guard lock(mutex_);
    running_ = false;
    line("\"engine\":" + std::to_string(engine_) + ",\"ended\":true");
  }
  void compared(const Comparison& c) {
    const std::lock_guard lock(mutex_);
    all_.push_back(c);
    if (!c.passed()) say("FAIL  " + c.text());
    line("\"engine\":" + std::to_string(engine_) + ",\"ops\":" + quoted(c.ops) + ",\"tensor\":" + quoted(c.tensor) + ",\"type\":\"" +
         kTypes[int(c.type)] + "\",\"error\":" + number(c.error) + ",\"bound\":" + number(c.bound) + ",\"passed\":" +
         (c.passed() ? "true" : "false"));
  }
  void failed(const std::string& why) {
    const std::lock_guard lock(mutex_);
    failures_++;
    broke(why);
  }
  // Prints what was closest to its bound; whether something was compared, and all was right.
  bool finish() {
    const std::lock_guard lock(mutex_);
    line("\"finished\":true");
    return summary();
  }

 private:
  static double secondsSince(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }
  void look() {
    const std::lock_guard lock(mutex_);
    if (running_ && settings_.each > 0 && secondsSince(engineBegan_) > settings_.each) {
      broke("it took longer than " + std::to_string(settings_.each) + " s");
      leave(3);
    }
    if (settings_.seconds > 0 && secondsSince(settings_.began) > settings_.seconds) {
      say("stopped after " + std::to_string(settings_.seconds) + " s, in engine " + std::to_string(engine_) + ": " + title_);
      line("\"stopped\":true");
      leave(4);
    }
  }
  [[noreturn]] void leave(int status) {
    summary();
    fflush(nullptr);
    _exit(status);
  }
  void broke(const std::string& why) {
    say("FAIL  " + title_ + ": " + why);
    line("\"engine\":" + std::to_string(engine_) + ",\"failed\":" + quoted(why));
  }
  void say(const std::string& text) {
    printf("%s\n", text.c_str());
    fflush(stdout);
  }
  void line(const std::string& members) {
    if (!file_) return;
    fprintf(file_, "{\"name\":%s,%s}\n", quoted(settings_.name).c_str(), members.c_str());
    fflush(file_);
  }
  bool summary() {
    std::sort(all_.begin(), all_.end(), [](const Comparison& a, const Comparison& b) {
      if (a.passed() != b.passed()) return b.passed();
      return a.error * b.bound > b.error * a.bound;
    });
    const size_t wrong = static_cast<size_t>(std::count_if(all_.begin(), all_.end(), [](const Comparison& c) { return !c.passed(); }));
    for (size_t i = wrong; i < std::min(all_.size(), wrong + settings_.worst); i++) say("pass  " + all_[i].text());
    say(std::to_string(all_.size()) + " tensors compared, " + std::to_string(wrong) + " failed, " + std::to_string(failures_) + " engines broke");
    return wrong == 0 && failures_ == 0 && !all_.empty();
  }

  const Settings& settings_;
  std::mutex mutex_;
  FILE* file_ = nullptr;
  std::vector<Comparison> all_;
  size_t failures_ = 0, engine_ = 0;
  std::string title_;
  Clock::time_point engineBegan_{};
  bool running_ = false;
  std::atomic<bool> done_{false};
  std::thread watch_;
};

}  // namespace tlora
