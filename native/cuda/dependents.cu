#include "cuda/dependents.h"

#include <cstdlib>
#include <cstring>

#include "cuda/check.h"

namespace tlora::cuda {

namespace {

__global__ void waiting() {
  waitForPrevious();
}

// Kernels compiled for an older capability do not wait, even if a newer device compiles their PTX for itself.
bool kernelsWait() {
#ifdef TLORA_EMULATED_CUDA
  return true;
#else
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(waiting)), "asking for a kernel's properties");
  return attributes.ptxVersion >= 90;
#endif
}

}  // namespace

bool dependentLaunches(int capability) {
  const char* choice = std::getenv("TLORA_DEPENDENT_LAUNCH");
  return choice && std::strcmp(choice, "1") == 0 && capability >= 90 && kernelsWait();
}

}  // namespace tlora::cuda
