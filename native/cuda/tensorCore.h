// Tensor-core products and asynchronous copies, one device function per instruction (compute capability 8.0 and newer); T is bf16
// or f16. The emulated build takes the twins in test/support/cuda/tensor_core.h: same arguments, same registers.
//
// Registers of mma.m16n8k16, with g = lane / 4 and t = lane % 4 (PTX ISA, "Matrix Fragments for mma.m16n8k16"):
//   a[0..3]: rows g, g + 8, g, g + 8; columns 2t, 2t + 1, and 8 more for a[2], a[3].   b[0..1]: rows 2t, 2t + 1 (+ 8), column g.
//   c[0..3]: row g columns 2t, 2t + 1; row g + 8 the same.
#pragma once
#include "cuda/shared.h"
#include "cuda/types.h"

#ifdef TLORA_EMULATED_CUDA
#include "tensor_core.h"
#else

namespace tlora::cuda {

// c [16, 8] += a [16, 16] · b [16, 8], float32 sums.
template <class T>
__device__ inline void mma(float& c0, float& c1, float& c2, float& c3, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

template <class T>
__device__ inline uint32_t sharedAddress(T* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

// Four 8 x 8 matrices: lane l gives the place of row l % 8 of matrix l / 8 (8 elements on 16 bytes). r[m] gets of matrix m
// row lane / 4, columns 2 (lane % 4) and the next.
template <class T>
__device__ inline void loadMatrices(uint32_t (&r)[4], T* tile, int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(tile + at))
               : "memory");
}

// The same of the transposed matrices: r[m] gets rows 2 (lane % 4) and the next, column lane / 4.
template <class T>
__device__ inline void loadMatricesTransposed(uint32_t (&r)[4], T* tile, int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(tile + at))
               : "memory");
}

// 16 bytes from `from` to tile[at], or zeros if not `valid`; there once the thread has waited for it.
template <class T>
__device__ inline void copyAsync(T* tile, int at, const T* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(sharedAddress(tile + at)), "l"(from), "r"(valid ? 16 : 0) : "memory");
}

// Closes a group of this thread's copies.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Waits until no more than `newest` of this thread's groups are under way.
template <int newest>
__device__ inline void waitCopies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(newest) : "memory");
}

}  // namespace tlora::cuda

#endif

namespace tlora::cuda {

// Two values as one register, the first in the low half.
template <class T>
__device__ inline uint32_t packPair(float first, float second) {
  const T values[2] = {fromFloat<T>(first), fromFloat<T>(second)};
  uint32_t bits;
  memcpy(&bits, values, sizeof bits);
  return bits;
}

}  // namespace tlora::cuda
