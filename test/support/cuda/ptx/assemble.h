// A module: PTX text, its variables in memory, and its kernels, each decoded when it is first asked for.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "program.h"
#include "statements.h"

namespace tlora::ptx {

class Module {
 public:
  explicit Module(std::string text);
  // Throws std::runtime_error for what the machine does not know.
  const Kernel& kernel(const std::string& name);
  // A variable of the module, or nullptr.
  const std::vector<char>* variable(const std::string& name) const;
  // The compute capability that it is for: 90.
  int target() const;
  bool holds(const char* address, size_t bytes) const;

 private:
  std::shared_ptr<const std::string> source_;
  Text text_;
  std::map<std::string, std::vector<char>> variables_;
  std::map<std::string, std::unique_ptr<Kernel>> kernels_;
};

}  // namespace tlora::ptx
