#pragma once
#include "context.h"

namespace tlora::cuda {

// Copies from the host that follow the stream's order and yet let the caller go on at once: small ones pass through a ring of
// page-locked memory, large ones are waited for.
class Staging {
 public:
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  // `from` may be used again on return. Throws Error (kDevice).
  void write(void* to, const void* from, size_t bytes);

 private:
  void wait(int half);

  cudaStream_t stream_;
  char* ring_ = nullptr;
  // The ring's two halves: one is filled while copies from the other may still be under way.
  int half_ = 0;
  size_t used_ = 0;  // bytes of this half
  cudaEvent_t filled_[2] = {};
  bool pending_[2] = {};
};

}  // namespace tlora::cuda
