// The part of the CUDA runtime and device library that native/cuda uses, on the CPU; found before the real one in the emulated build.
#pragma once
#include <math.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

#define threadIdx (::tlora::emulated::running.thread)
#define blockIdx (::tlora::emulated::running.block)
#define blockDim (::tlora::emulated::running.blockDim)
#define gridDim (::tlora::emulated::running.gridDim)
constexpr int warpSize = 32;

#include "device_functions.h"
