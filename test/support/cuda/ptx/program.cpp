#include "program.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>

namespace tlora::ptx {

std::string readableName(const std::string& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string out = status == 0 ? text : name;
  free(text);
  const size_t arguments = out.rfind(">(") == std::string::npos ? out.rfind('(') : out.rfind(">(") + 1;
  if (status == 0 && arguments != std::string::npos) out.resize(arguments);
  for (const std::string_view noise : {"tlora::cuda::", "(anonymous namespace)::", "void "}) {
    for (size_t at; (at = out.find(noise)) != std::string::npos;) out.erase(at, noise.size());
  }
  return out;
}

std::string Kernel::textOf(uint32_t line) const {
  size_t from = 0;
  for (uint32_t i = 1; i < line && from != std::string::npos; i++) {
    from = text->find('\n', from);
    if (from != std::string::npos) from++;
  }
  if (from == std::string::npos) return "";
  const size_t to = std::min(text->find('\n', from), text->size());
  std::string out = text->substr(from, to - from);
  std::replace(out.begin(), out.end(), '\t', ' ');
  const size_t first = out.find_first_not_of(' ');
  out.erase(0, std::min(first, out.size()));
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace tlora::ptx
