// A kernel as the machine runs it: PTX decoded once into handlers over numbered registers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tlora::ptx {

constexpr unsigned kLanes = 32;
constexpr uint32_t kEveryLane = 0xffffffffu;

// Widths of registers. A predicate holds one bit a lane, all others an array of 32 values.
enum class Width : uint8_t { pred, b16, b32, b64 };
constexpr size_t slotBytes(Width width) { return width == Width::pred ? 4 : kLanes * (size_t{1} << int(width)); }

// Where an operand lies: in the warp's registers or among the kernel's constants, and at which byte there. Before registers have
// their slots (registers.cpp) the number of a virtual register stands for the byte.
using Place = uint32_t;
constexpr Place kConstant = 0x80000000u;
constexpr Place kNoGuard = 0xffffffffu;

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&);

// How the warp goes on after an instruction.
enum class Flow : uint8_t {
  next,
  branch,
  exit,
  together,  // waits for the lanes that its mask names
  aligned,   // waits for all lanes of the warp
  barrier,   // waits for the block
};

struct Instruction {
  Handler run = nullptr;
  const Place* at = nullptr;  // results, then sources
  int64_t immediate = 0;      // an address's offset, a count of groups, an operation's mode
  Place guard = kNoGuard;
  uint32_t target = 0;        // of a branch
  uint32_t line = 0;          // in the module's text
  uint32_t first = 0;         // of the kernel's operands
  uint8_t operands = 0;
  uint8_t results = 0;        // of the operands
  uint8_t count = 1;          // elements of a vector
  Flow flow = Flow::next;
  bool guardNot = false;
  bool crossLane = false;     // results may not lie where sources do
  bool observes = false, selects = false;  // Watch
  uint32_t watch = 0;         // of the kernel's watches, from 1 on; 0: none
};

// What an instruction does with values that are nobody's. A path through the kernel reads some registers before it writes them; nvcc lets
// such values into sums that it then does not choose. They may be computed with, but not stored, sent, branched on, chosen by or used as an address.
struct Watch {
  static constexpr uint32_t kNone = UINT32_MAX;  // always good
  enum Kind : uint8_t { computes, selects, observes } kind = computes;
  std::vector<uint32_t> reads, writes;  // registers, of those that such a value can come to
  // What is taken by a selection where its predicate is true, and false; the predicate; the guard.
  uint32_t first = kNone, second = kNone, chooser = kNone, guard = kNone;
};

// What a kernel reads of its surroundings, in this order; each fills one register.
enum class Special : uint8_t { tidX, tidY, tidZ, ntidX, ntidY, ntidZ, ctaidX, ctaidY, ctaidZ, nctaidX, nctaidY, nctaidZ, laneid, warpid };

struct Parameter {
  std::string name;
  size_t offset, bytes;
};

struct Kernel {
  std::string name;  // demangled
  std::vector<Instruction> code;
  std::vector<Place> operands;
  std::vector<Parameter> parameters;
  size_t parameterBytes = 0;
  std::vector<char> constants;
  size_t registerBytes = 0;
  std::vector<std::pair<Special, Place>> specials;
  size_t staticShared = 0;  // bytes, without the reserved ones before them
  bool dynamicShared = false;
  size_t dynamicAlign = 16;
  size_t localBytes = 0;    // of each thread
  unsigned maxThreads = 1024;
  unsigned requiredThreads[3] = {0, 0, 0};
  std::vector<std::string> suspects;  // registers that a value of nobody's can come to
  std::vector<bool> nobodys;          // of the suspects: whether it is in them when the kernel begins
  std::vector<Watch> watches;
  std::shared_ptr<const std::string> text;  // of its module

  // Line `line` of the module's text, without blanks at its ends.
  std::string textOf(uint32_t line) const;
};

// A kernel's name without its parameters and this project's namespaces.
std::string readableName(const std::string& mangled);

// Shared addresses begin here: a block's first KiB is the system's.
constexpr size_t kReservedShared = 1024;
// Generic addresses of shared and local memory; those of global memory are the host's.
constexpr uint64_t kSharedWindow = uint64_t{1} << 40;
constexpr uint64_t kLocalWindow = uint64_t{2} << 40;
constexpr uint64_t kWindowBytes = uint64_t{1} << 32;

}  // namespace tlora::ptx
