// An encoded plan (written by lib/plan/encode.ts), decoded and checked. Little endian:
//   "TLORAPLN", u32 format, u32 device (0 cpu, 1 cuda), u32 threads, u64 arenaBytes, u64 ioBytes
//   u32 n, n strings: u32 length, bytes in UTF-8        (all names below are indices into these)
//   u32 n, n state buffers: u32 name, u64 bytes
//   u32 n, n tensors: u8 place, u8 dtype, u8 matrix, u8 rank, u32 name, u32 buffer, u64 offset, rank x u64 size
//   u32 n, n inputs: u32 name, u32 tensor;  u32 n, n results: the same
//   u32 n, n calls: u32 op, u32 path, u32 n, n x u32 input tensor, u32 n, n x u32 output tensor,
//                   u64 scratchOffset, u64 scratchBytes, u32 n, n x f64 attribute
// A tensor index or a name of 0xffffffff means none.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor.h"

namespace tlora {

constexpr uint32_t kPlanFormat = 2;
constexpr int32_t kNone = -1;

enum class Place : uint8_t { arena = 0, io = 1, weight = 2, state = 3 };

struct PlannedTensor {
  Place place;
  DType dtype;
  bool matrix;  // a weight that its op reads packed
  int rank;
  int64_t dims[kMaxRank];
  std::string name;
  std::string buffer;  // state buffer or weight
  size_t offset;       // in the arena, the io memory or the state buffer
  size_t bytes;
};

struct PlannedCall {
  std::string op, path;
  std::vector<int32_t> inputs, outputs;  // indices of tensors, or kNone
  size_t scratchOffset, scratchBytes;    // in the arena
  std::vector<double> attrs;
};

struct NamedTensor {
  std::string name;
  int32_t tensor;
};

struct StateSize {
  std::string name;
  size_t bytes;
};

struct Plan {
  const char* device;  // the backend that it was made for, by name
  int threads;
  size_t arenaBytes, ioBytes;
  std::vector<StateSize> states;
  std::vector<PlannedTensor> tensors;
  std::vector<NamedTensor> inputs, results;
  std::vector<PlannedCall> calls;
};

// Throws Error (kPlan) for anything that is not a whole, consistent plan: every index and every byte range is checked.
Plan decodePlan(const uint8_t* data, size_t bytes);

// Throws Error (kPlan) unless the plan was made for the backend of this name: types, scratch memory and ops differ.
void expectDevice(const Plan& plan, const char* backend);

}  // namespace tlora
