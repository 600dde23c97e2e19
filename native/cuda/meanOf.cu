#include "cuda/meanOf.h"

namespace tlora::cuda {

namespace {

// One thread: few values, and always in the same order. perSample may be nullptr.
__global__ void addMeansKernel(const double* partial, float* mean, float* perSample, int64_t samples, int64_t chunks, int64_t each) {
  waitForPrevious();
  double total = 0;
  for (int64_t i = 0; i < samples; i++) {
    double sum = 0;
    for (int64_t k = 0; k < chunks; k++) sum += partial[i * chunks + k];
    if (perSample) perSample[i] = float(sum / double(each));
    total += sum;
  }
  mean[0] = float(total / (double(each) * double(samples)));
}

}  // namespace

void addMeans(Context& context, const double* partial, float* mean, float* perSample, int64_t samples, int64_t chunks, int64_t each) {
  launch(context, addMeansKernel, 1, 1, partial, mean, perSample, samples, chunks, each);
}

}  // namespace tlora::cuda
