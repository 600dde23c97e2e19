// Stacks that take turns on one host thread.
#pragma once

namespace tlora::emulated {

struct Fiber {
  void* stackPointer = nullptr;
  char* stack = nullptr;
  int thread = -1;  // of the block, that runs on it
};

// A stack with a page below it that must not be touched.
Fiber* makeFiber();
// The next switch to the fiber calls `main`, which must not return.
void prepareFiber(Fiber& fiber, void (*main)());
// Leaves the stack that runs, keeping its place in `from`, for the one at `to`.
void switchStack(void** from, void* to);

}  // namespace tlora::emulated
