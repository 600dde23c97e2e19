#include "staging.h"

#include <cstring>

namespace tlora::cuda {
namespace {

constexpr size_t kHalf = size_t{4} << 20;
constexpr size_t kAlignment = 64;

}  // namespace

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  void* ring = nullptr;
  check(cudaHostAlloc(&ring, 2 * kHalf, cudaHostAllocDefault), "page-locked memory for copies");
  ring_ = static_cast<char*>(ring);
  for (cudaEvent_t& event : filled_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
}

Staging::~Staging() {
  cudaStreamSynchronize(stream_);
  for (const cudaEvent_t event : filled_) {
    if (event) cudaEventDestroy(event);
  }
  if (ring_) cudaFreeHost(ring_);
}

void Staging::wait(int half) {
  if (pending_[half]) check(cudaEventSynchronize(filled_[half]), "waiting for copies to the device");
  pending_[half] = false;
}

void Staging::write(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (bytes > kHalf / 4) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copy to the device");
    check(cudaStreamSynchronize(stream_), "copy to the device");
    return;
  }
  if (used_ + bytes > kHalf) {
    check(cudaEventRecord(filled_[half_], stream_), "copies to the device");
    pending_[half_] = true;
    half_ = 1 - half_;
    used_ = 0;
    wait(half_);
  }
  char* slot = ring_ + half_ * kHalf + used_;
  memcpy(slot, from, bytes);
  check(cudaMemcpyAsync(to, slot, bytes, cudaMemcpyHostToDevice, stream_), "copy to the device");
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace tlora::cuda
