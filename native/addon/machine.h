#pragma once
#include <string>
#include <vector>

namespace tlora::addon {

// The instruction sets of this machine that kernels may use.
std::vector<std::string> cpuFeatures();

// Why CUDA cannot be used, or an empty string when the driver and the backend library both open.
// `folder` holds the addon and, if it was built, the backend library.
std::string whyNoCuda(const std::string& folder);

}  // namespace tlora::addon
