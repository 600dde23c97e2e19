// Which algorithm each shape uses, as text. Written by libraries that look for a fast one once, read back on resume.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "core/backend.h"

namespace tlora::cuda {

// Choices are worth keeping only where all of this is the same.
struct ChoiceOrigin {
  std::string device;    // name, compute capability and number of multiprocessors
  std::string cublasLt;  // versions
  std::string cudnn;
};

class Choices {
 public:
  explicit Choices(ChoiceOrigin origin) : origin_(std::move(origin)) {}

  // nullptr: nothing was chosen or given for this shape yet.
  const std::string* find(const std::string& shape) const;
  void keep(const std::string& shape, std::string algorithm) { algorithms_[shape] = std::move(algorithm); }

  std::string json() const;
  // Adds the choices of a text that json() made, in place of what is known of the same shapes. false: the reason says why not.
  bool read(std::string_view json, Reason& reason);

 private:
  ChoiceOrigin origin_;
  std::map<std::string, std::string> algorithms_;
};

}  // namespace tlora::cuda
