#include "libraries.h"

#include <cstdio>

#include "libraryState.h"

namespace tlora::cuda {
namespace {

std::string deviceText() {
  int device = 0;
  cudaDeviceProp properties;
  check(cudaGetDevice(&device), "asking for the device");
  check(cudaGetDeviceProperties(&properties, device), "asking for the device's properties");
  char text[400];
  snprintf(text, sizeof text, "%s, sm_%d%d, %d multiprocessors", properties.name, properties.major, properties.minor,
           properties.multiProcessorCount);
  return text;
}

}  // namespace

Libraries* openLibraries(cudaStream_t stream) {
  auto libraries = std::make_unique<Libraries>(
      ChoiceOrigin{deviceText(), std::to_string(cublasLtGetVersion()), std::to_string(cudnnGetVersion())});
  const cublasStatus_t blas = cublasLtCreate(&libraries->blas);
  if (blas != CUBLAS_STATUS_SUCCESS) fail(kDevice, "cuBLASLt %zu could not start: %s", cublasLtGetVersion(), cublasLtGetStatusString(blas));
  cudnnStatus_t dnn = cudnnCreate(&libraries->dnn.handle);
  if (dnn == CUDNN_STATUS_SUCCESS) dnn = cudnnSetStream(libraries->dnn.handle, stream);
  if (dnn != CUDNN_STATUS_SUCCESS) fail(kDevice, "cuDNN %zu could not start: %s", cudnnGetVersion(), cudnnGetErrorString(dnn));
  return libraries.release();
}

void closeLibraries(Libraries* libraries) { delete libraries; }

std::string exportChoices(const Libraries& libraries) { return libraries.choices.json(); }

bool importChoices(Libraries& libraries, std::string_view json, bool suggestions, Reason& reason) {
  return libraries.choices.read(json, suggestions, reason);
}

}  // namespace tlora::cuda
