#include "check.h"

namespace tlora::cuda {
namespace {

// nullptr: CUDA's own words do.
const char* inWords(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver: return "no NVIDIA driver, or one that is older than the CUDA version of this build: update the driver";
    case cudaErrorNoDevice: return "the driver sees no CUDA device (CUDA_VISIBLE_DEVICES may hide it)";
    case cudaErrorInvalidDevice: return "there is no such device";
    case cudaErrorNoKernelImageForDevice: return "this build has no code for the device: build tlora on this machine, TLORA_BUILD=cuda npx tlora build";
    case cudaErrorMemoryAllocation: return "the device's memory is full";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorLaunchFailure:
      return "a kernel failed, and this process can no longer use the device; the run's checking mode names the op";
    case cudaErrorLaunchTimeout: return "a kernel took longer than the driver allows on a device with a display";
    case cudaErrorECCUncorrectable: return "the device's memory is faulty";
    case cudaErrorDevicesUnavailable: return "the device is busy or set to be used by one process alone";
    default: return nullptr;
  }
}

}  // namespace

std::string meaning(cudaError_t status) {
  const char* words = inWords(status);
  const std::string name = cudaGetErrorName(status);
  return words ? words + (" (" + name + ": ") + cudaGetErrorString(status) + ")" : cudaGetErrorString(status) + (" (" + name + ")");
}

void failCuda(cudaError_t status, const char* what) {
  cudaGetLastError();  // else cuBLASLt or cuDNN would find it behind their own next launch
  fail(kDevice, "%s: %s", what, meaning(status).c_str());
}

}  // namespace tlora::cuda
