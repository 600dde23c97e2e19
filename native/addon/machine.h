#pragma once
#include <string>
#include <vector>

namespace tlora::addon {

// The instruction sets of this machine that kernels may use.
std::vector<std::string> cpuFeatures();

}  // namespace tlora::addon
