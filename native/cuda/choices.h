// Which algorithm each shape uses, as text. Written by libraries that look for a fast one once, read back on resume.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "core/backend.h"
#include "core/error.h"

namespace tlora::cuda {

// Choices are worth keeping only where all of this is the same.
struct ChoiceOrigin {
  std::string device;    // name, compute capability and number of multiprocessors
  std::string cublasLt;  // versions
  std::string cudnn;
};

struct Choice {
  std::string algorithm;
  std::string times;  // where it was tried against others: what they took (trials.h)
};

class Choices {
 public:
  explicit Choices(ChoiceOrigin origin) : origin_(std::move(origin)) {}

  // What a shape uses, kept from then on: what is known of it, or else what is suggested, where that can be taken, or else what choose() gives.
  // take(algorithm) throws Error where it cannot; of what is known, that is passed on, as another algorithm would give other bits.
  template <class Take, class Choose>
  void settle(const std::string& shape, Take take, Choose choose) {
    if (const auto known = known_.find(shape); known != known_.end()) return take(known->second.algorithm);
    if (const auto suggested = suggested_.find(shape); suggested != suggested_.end()) {
      try {
        take(suggested->second.algorithm);
        known_[shape] = suggested->second;
        return;
      } catch (const Error&) {
      }
    }
    known_[shape] = choose();
  }

  // Of all shapes that were settled, or given.
  std::string json() const;
  // Adds the choices of a text that json() made, in place of what is known of the same shapes; or as suggestions. false: the reason says why not.
  bool read(std::string_view json, bool suggestions, Reason& reason);

 private:
  ChoiceOrigin origin_;
  std::map<std::string, Choice> known_, suggested_;
};

}  // namespace tlora::cuda
