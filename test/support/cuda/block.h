// One block of a kernel: its threads, its shared memory, and who waits for whom.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "emulator.h"
#include "fiber.h"

namespace tlora::emulated {

// Lanes of a warp that wait for each other, told apart by the mask they name.
struct WarpGroup {
  unsigned mask = 0, arrived = 0, generation = 0;
  WarpOp op = WarpOp::sync;
  std::source_location at;
  uint64_t values[2][32] = {};
};

class Block {
 public:
  // Runs all threads of a block; throws Fault.
  void run(const dim3& index, const dim3& blockDim, const dim3& gridDim, size_t sharedBytes, const std::function<void()>& body);

  int barrier(bool value, const std::source_location& at);
  const uint64_t* rendezvous(WarpOp op, unsigned mask, uint64_t value, const std::source_location& at);
  void waitForPrevious() {
    waited_[running.linear] = true;
    running.waited = true;
  }
  SharedRange shared(const void* identity, const char* name, size_t bytes);
  SharedRange dynamicShared() const { return {sharedBase(), dynamicBytes_}; }
  [[noreturn]] void fail(const std::string& message);

  char* sharedBase() const { return shared_; }
  // What lies at an offset of the shared memory, in words: "tile[3]".
  std::string sharedName(size_t offset) const;
  std::string place() const;

 private:
  struct Array {
    const void* identity;
    const char* name;
    size_t offset, bytes;
  };
  static void fiberMain();
  void begin(int thread);
  void resume(Fiber* fiber);
  void suspend();
  void stuck();
  void abandon();

  std::vector<Fiber*> all_, free_;
  std::deque<Fiber*> ready_;
  Fiber* active_ = nullptr;
  void* scheduler_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  int count_ = 0, next_ = 0, finished_ = 0;

  std::vector<Fiber*> atBarrier_;
  std::source_location barrierAt_;
  int barrierValue_ = 0, barrierResult_ = 0;
  std::vector<std::deque<WarpGroup>> warps_;
  std::vector<std::vector<Fiber*>> waitingLanes_;
  std::vector<unsigned> warpEpochs_;
  std::vector<char> waited_;  // by thread

  char* shared_ = nullptr;
  size_t sharedUsed_ = 0, dynamicBytes_ = 0;
  std::vector<Array> arrays_;
  std::string fault_;
};

constexpr size_t kMostSharedBytes = size_t{227} << 10;  // a block's, on compute capability 9.0

Block& thisBlock();

}  // namespace tlora::emulated
