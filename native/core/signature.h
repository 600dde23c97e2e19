// What the kernel of each op takes and gives, by ops.def. Kernels look at nothing but the sizes of what they get, so a call that is not so
// would make one read what is not there.
#pragma once
#include <string>

#include "kernel.h"

namespace tlora {

// Empty, or why the kernel of `op`, one of ops.def, cannot do this call: "input 1: expected float32, got bf16", or sizes that do not belong together. `cpu`: the CPU's.
std::string misfit(const std::string& op, const Call& call, bool cpu);

}  // namespace tlora
