#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace tlora::emulated {

namespace {
constexpr size_t kStackBytes = size_t{256} << 10, kGuardBytes = size_t{64} << 10;
}

Fiber* makeFiber() {
  void* memory = mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuardBytes, PROT_NONE);
  auto* fiber = new Fiber;
  fiber->stack = static_cast<char*>(memory);
  return fiber;
}

#if defined(__x86_64__)

// Callee-saved registers go to the old stack and come back from the new one.
asm(R"(
  .text
  .p2align 4
tlora_emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
)");
extern "C" void tlora_emulated_switch(void** from, void* to) __attribute__((visibility("hidden")));

void switchStack(void** from, void* to) { tlora_emulated_switch(from, to); }

void prepareFiber(Fiber& fiber, void (*main)()) {
  auto* top = reinterpret_cast<uint64_t*>(fiber.stack + kGuardBytes + kStackBytes);
  // As after a call, the stack pointer of `main` is 8 below a multiple of 16.
  *--top = 0;
  *--top = reinterpret_cast<uint64_t>(main);
  for (int i = 0; i < 6; i++) *--top = 0;
  fiber.stackPointer = top;
}

#elif defined(__aarch64__)

asm(R"(
  .text
  .p2align 4
tlora_emulated_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
extern "C" void tlora_emulated_switch(void** from, void* to) __attribute__((visibility("hidden")));

void switchStack(void** from, void* to) { tlora_emulated_switch(from, to); }

void prepareFiber(Fiber& fiber, void (*main)()) {
  auto* top = reinterpret_cast<uint64_t*>(fiber.stack + kGuardBytes + kStackBytes) - 20;
  for (int i = 0; i < 20; i++) top[i] = 0;
  top[11] = reinterpret_cast<uint64_t>(main);  // x30
  fiber.stackPointer = top;
}

#else
#error "the emulated CUDA build needs x86-64 or aarch64"
#endif

}  // namespace tlora::emulated
