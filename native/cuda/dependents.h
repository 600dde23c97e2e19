// Programmatic dependent launch. From compute capability 9.0 on, blocks of a kernel may start as soon as those of the kernel before it on
// the stream have ended, while what they wrote is still on its way to memory. waitForPrevious() ends when it is there: it is the first
// statement of every kernel, however that is launched, so that
//   - nothing is read before it is written, and nothing is overwritten that an older kernel still reads;
//   - a kernel that has ended was preceded by all others on the stream: whoever waits for it has waited for them, too.
// Copies, clearing memory, events and whole graphs are awaited before a launch in any case. No kernel lets the next one start before its own
// blocks end (griddepcontrol.launch_dependents): kernels of the libraries would heed that even where ours are launched plainly.
#pragma once
#include <cuda_runtime.h>

namespace tlora::cuda {

__device__ inline void waitForPrevious() {
#ifdef TLORA_EMULATED_CUDA
  tlora::emulated::waitForPrevious();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

// Whether kernels are to be launched so: TLORA_DEPENDENT_LAUNCH=1 asks for it, and the device and this build of the kernels can.
bool dependentLaunches(int capability);

}  // namespace tlora::cuda
