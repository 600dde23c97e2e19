// Loads, stores and asynchronous copies (PTX ISA, "ld", "st", "cp.async"). Every address is checked: it is a multiple of the access's
// size and lies in an allocation, in the block's shared memory, in the thread's local memory or among the kernel's parameters.
#include <algorithm>

#include "../heap.h"
#include "assemble.h"
#include "types.h"

namespace tlora::ptx {

namespace {

enum class Space : uint8_t { generic, global, shared, local, param };

// immediate: the offset in the low bits; space and width of the address register above.
constexpr int64_t kOffsetBits = 40;
int64_t packed(int64_t offset, Space space, Width base) {
  return (offset & ((int64_t{1} << kOffsetBits) - 1)) | int64_t(space) << kOffsetBits | int64_t(base) << (kOffsetBits + 4);
}
int64_t offsetOf(int64_t immediate) { return immediate << (64 - kOffsetBits) >> (64 - kOffsetBits); }
Space spaceOf(int64_t immediate) { return Space(immediate >> kOffsetBits & 15); }
Width baseOf(int64_t immediate) { return Width(immediate >> (kOffsetBits + 4) & 15); }

std::string hex(uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

void addressesOf(Warp& w, const Instruction& in, Place base, uint64_t* to) {
  const auto offset = uint64_t(offsetOf(in.immediate));
  if (baseOf(in.immediate) == Width::b32) {
    const uint32_t* a = w.at<uint32_t>(base);
    for (unsigned i = 0; i < kLanes; i++) to[i] = uint32_t(a[i] + uint32_t(offset));
  } else {
    const uint64_t* a = w.at<uint64_t>(base);
    for (unsigned i = 0; i < kLanes; i++) to[i] = a[i] + offset;
  }
}

[[noreturn]] void misplaced(Warp& w, unsigned lane, const char* what, size_t bytes, const std::string& why) {
  w.fail(lane, std::string(what) + " of " + std::to_string(bytes) + " bytes " + why);
}

void checkGlobal(Warp& w, uint64_t lowest, uint64_t highest, const uint64_t* at, size_t bytes, const char* what) {
  static thread_local emulated::DeviceRange last = {nullptr, nullptr};
  static thread_local unsigned long changes = 0;
  if (changes != emulated::heapChanges()) {
    changes = emulated::heapChanges();
    last = {nullptr, nullptr};
  }
  const auto *from = reinterpret_cast<const char*>(lowest), *to = reinterpret_cast<const char*>(highest) + bytes;
  if (from >= last.begin && to <= last.end) return;
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    const auto* address = reinterpret_cast<const char*>(at[i]);
    last = emulated::allocationAt(address);
    if (address >= last.begin && address + bytes <= last.end) continue;
    if (w.block->launch().module->holds(address, bytes)) continue;
    if (!last.begin) misplaced(w, i, what, bytes, "at " + hex(at[i]) + ", outside of all device memory");
    misplaced(w, i, what, bytes, "at byte " + std::to_string(address - last.begin) + " of an allocation of " + std::to_string(last.end - last.begin));
  }
}

// Host addresses of what the lanes access, after all checks; for shared memory also the offsets.
struct Reached {
  char* at[kLanes];
};

void reachShared(Warp& w, const uint64_t* at, size_t bytes, const char* what, Reached& to) {
  Block& block = *w.block;
  const uint64_t end = kReservedShared + block.sharedBytes();
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    if (at[i] < kReservedShared || at[i] > end - bytes) {
      misplaced(w, i, what, bytes, "at byte " + std::to_string(int64_t(at[i]) - int64_t(kReservedShared)) + " of the block's " + std::to_string(block.sharedBytes()) + " of shared memory");
    }
  }
  for (unsigned i = 0; i < kLanes; i++) to.at[i] = block.shared() + (at[i] - kReservedShared);
}

void checkRaces(Warp& w, const uint64_t* at, size_t bytes, bool write) {
  Races* races = w.block->races();
  if (!races) return;
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    const unsigned thread = w.index * kLanes + i;
    const size_t offset = size_t(at[i] - kReservedShared);
    const char* wrong = write ? races->write(offset, bytes, thread, w.synced) : races->read(offset, bytes, thread, w.synced);
    if (wrong) w.fail(i, std::string(wrong) + " (byte " + std::to_string(offset) + ")");
  }
}

// The space of generic addresses; all of an instruction's have to be of one.
Space settle(Warp& w, uint64_t* at) {
  const unsigned first = w.firstLane();
  const auto window = [](uint64_t address) { return address - kSharedWindow < kWindowBytes ? Space::shared : address - kLocalWindow < kWindowBytes ? Space::local : Space::global; };
  const Space space = window(at[first]);
  for (unsigned i = 0; i < kLanes; i++) {
    if ((w.mask >> i & 1) && window(at[i]) != space) w.fail(i, "generic addresses of several spaces in one instruction");
    at[i] -= space == Space::shared ? kSharedWindow : space == Space::local ? kLocalWindow : 0;
  }
  return space;
}

void reach(Warp& w, const Instruction& in, Place base, size_t bytes, bool write, Reached& to) {
  const char* what = write ? "a write" : "a read";
  alignas(64) uint64_t at[kLanes];
  addressesOf(w, in, base, at);
  Space space = spaceOf(in.immediate);
  if (space == Space::generic) space = settle(w, at);
  uint64_t unaligned = 0, lowest = UINT64_MAX, highest = 0;
  for (unsigned i = 0; i < kLanes; i++) {
    const auto on = uint64_t(int64_t(w.lanes[i]));
    unaligned |= at[i] & on;
    const uint64_t low = at[i] | ~on, high = at[i] & on;
    lowest = low < lowest ? low : lowest;
    highest = high > highest ? high : highest;
  }
  if (unaligned & (bytes - 1)) {
    for (unsigned i = 0; i < kLanes; i++) {
      if ((w.mask >> i & 1) && at[i] & (bytes - 1)) misplaced(w, i, what, bytes, "at " + hex(at[i]) + ", which is not aligned");
    }
  }
  switch (space) {
    case Space::shared:
      reachShared(w, at, bytes, what, to);
      return checkRaces(w, at, bytes, write);
    case Space::local:
    case Space::param: {
      const bool local = space == Space::local;
      const Kernel& kernel = *w.block->launch().kernel;
      const size_t size = local ? kernel.localBytes : kernel.parameterBytes;
      if (highest > size || bytes > size - highest) misplaced(w, w.firstLane(), what, bytes, "at byte " + std::to_string(highest) + " of " + std::to_string(size) + (local ? " of local memory" : " of parameters"));
      char* from = local ? w.local.data() : const_cast<char*>(w.block->launch().parameters.data());
      for (unsigned i = 0; i < kLanes; i++) to.at[i] = from + at[i] + (local ? i * size : 0);
      return;
    }
    default:
      if (w.block->launch().dependent && (w.mask & ~w.dependencyAwaited)) {
        w.fail(unsigned(__builtin_ctz(w.mask & ~w.dependencyAwaited)), std::string(what) + " of global memory before griddepcontrol.wait in a launch that may overtake the one before it");
      }
      checkGlobal(w, lowest, highest, at, bytes, what);
      for (unsigned i = 0; i < kLanes; i++) to.at[i] = reinterpret_cast<char*>(at[i]);
  }
}

// Integers are extended to the register's width, all else keeps its bits.
template <class T, class Register>
void load(Warp& w, const Instruction& in) {
  Reached from;
  reach(w, in, in.at[in.count], sizeof(T) * in.count, false, from);
  T values[4][kLanes];
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    T v[4];
    if (in.count == 1) memcpy(v, from.at[i], sizeof(T));
    else if (in.count == 2) memcpy(v, from.at[i], 2 * sizeof(T));
    else memcpy(v, from.at[i], 4 * sizeof(T));
    for (unsigned e = 0; e < in.count; e++) values[e][i] = v[e];
  }
  for (unsigned e = 0; e < in.count; e++) {
    Register* d = w.at<Register>(in.at[e]);
    for (unsigned i = 0; i < kLanes; i++) d[i] = w.lanes[i] ? Register(values[e][i]) : d[i];
  }
}

template <class T, class Register>
void store(Warp& w, const Instruction& in) {
  Reached to;
  reach(w, in, in.at[0], sizeof(T) * in.count, true, to);
  const Register* a[4] = {};
  for (unsigned e = 0; e < in.count; e++) a[e] = w.at<Register>(in.at[1 + e]);
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    for (unsigned e = 0; e < in.count; e++) {
      const T value = T(a[e][i]);
      memcpy(to.at[i] + e * sizeof(T), &value, sizeof(T));
    }
  }
}

template <class T>
Handler loadTo(Width width) {
  if (width == Width::b16) return sizeof(T) <= 2 ? load<T, uint16_t> : nullptr;
  if (width == Width::b32) return sizeof(T) <= 4 ? load<T, uint32_t> : nullptr;
  return load<T, uint64_t>;
}
template <class T>
Handler storeFrom(Width width) {
  if (width == Width::b16) return sizeof(T) <= 2 ? store<T, uint16_t> : nullptr;
  if (width == Width::b32) return sizeof(T) <= 4 ? store<T, uint32_t> : nullptr;
  return store<T, uint64_t>;
}

Handler accessOf(Type type, Width width, bool loads) {
  const bool s = isSigned(type);
  switch (bytesOf(type)) {
    case 1: return !loads ? storeFrom<uint8_t>(width) : s ? loadTo<int8_t>(width) : loadTo<uint8_t>(width);
    case 2: return !loads ? storeFrom<uint16_t>(width) : s ? loadTo<int16_t>(width) : loadTo<uint16_t>(width);
    case 4: return !loads ? storeFrom<uint32_t>(width) : s ? loadTo<int32_t>(width) : loadTo<uint32_t>(width);
    case 8: return !loads ? storeFrom<uint64_t>(width) : loadTo<uint64_t>(width);
    default: return nullptr;
  }
}

Space takeSpace(Decoder& d) {
  if (d.mod("global") || d.mod("const")) return Space::global;
  if (d.mod("shared") || d.mod("shared::cta")) return Space::shared;
  if (d.mod("local")) return Space::local;
  return d.mod("param") ? Space::param : Space::generic;
}

void copyRegister(Warp& w, const Instruction& in) {
  if (in.count == 8) {
    const uint64_t* a = w.at<uint64_t>(in.at[1]);
    put<uint64_t>(w, in.at[0], [=](unsigned i) { return a[i]; });
  } else {
    const uint32_t* a = w.at<uint32_t>(in.at[1]);
    put<uint32_t>(w, in.at[0], [=](unsigned i) { return a[i]; });
  }
}

// How caches treat an access changes nothing here.
void dropHints(Decoder& d) {
  for (const char* hint : {"weak", "nc", "ca", "cg", "cs", "lu", "wb", "wt"}) d.mod(hint);
}

bool decodeLoad(Decoder& d) {
  dropHints(d);
  const Space space = takeSpace(d);
  d.in.count = d.mod("v2") ? 2 : d.mod("v4") ? 4 : 1;
  const Type type = d.type();
  Width width = Width::pred;
  if (d.several(type, true, false, &width) != d.in.count) d.unknown();
  Place slot;
  if (space == Space::param && d.in.count == 1 && d.takeSlot(width, slot)) {
    if (width != widthOf(type) || bytesOf(type) < 4) d.unknown();
    d.append(slot, false);
    d.in.count = uint8_t(bytesOf(type));
    d.in.run = copyRegister;
    d.in.observes = false;
    return true;
  }
  const Width base = d.address();
  d.in.immediate = packed(d.in.immediate, space, base);
  d.in.run = accessOf(type, width, true);
  return true;
}

bool decodeStore(Decoder& d) {
  dropHints(d);
  const Space space = takeSpace(d);
  d.in.count = d.mod("v2") ? 2 : d.mod("v4") ? 4 : 1;
  const Type type = d.type();
  Width width = Width::pred;
  Place slot;
  if (space == Space::param) {
    if (d.in.count != 1 || bytesOf(type) < 4 || !d.takeSlot(widthOf(type), slot)) d.unknown();
    d.append(slot, true);
    d.source(type);
    d.in.count = uint8_t(bytesOf(type));
    d.in.run = copyRegister;
    d.in.observes = false;
    return true;
  }
  const Width base = d.address();
  const int64_t offset = d.in.immediate;
  if (d.several(type, false, false, &width) != d.in.count) d.unknown();
  d.in.immediate = packed(offset, space, base);
  d.in.run = accessOf(type, width, false);
  return true;
}

// ---- cp.async: at[0] to, at[1] from, at[2] bytes to read (the rest are zeros). The copy is made when the thread has waited for its group.

void copyAsync(Warp& w, const Instruction& in) {
  const uint32_t* destination = w.at<uint32_t>(in.at[0]);
  const uint64_t* source = w.at<uint64_t>(in.at[1]);
  const uint32_t* sizes = in.operands > 2 ? w.at<uint32_t>(in.at[2]) : nullptr;
  const auto bytes = uint32_t(in.count);
  uint64_t to[kLanes];
  for (unsigned i = 0; i < kLanes; i++) to[i] = destination[i] + uint64_t(offsetOf(in.immediate));
  Reached reached;
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    if (to[i] % bytes) misplaced(w, i, "a copy", bytes, "to " + hex(to[i]) + ", which is not aligned");
    if (source[i] % bytes) misplaced(w, i, "a copy", bytes, "from " + hex(source[i]) + ", which is not aligned");
    if (w.block->launch().dependent && !(w.dependencyAwaited >> i & 1)) w.fail(i, "a copy of global memory before griddepcontrol.wait in a launch that may overtake the one before it");
    const uint32_t read = sizes ? sizes[i] : bytes;
    if (read > bytes) w.fail(i, "a copy reads more bytes than it writes");
    if (read) {
      const uint32_t mask = w.mask;
      w.setMask(1u << i);
      checkGlobal(w, source[i], source[i], source, read, "a copy");
      w.setMask(mask);
    }
  }
  reachShared(w, to, bytes, "a copy", reached);
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    const auto offset = uint32_t(to[i] - kReservedShared);
    if (Races* races = w.block->races()) {
      if (const char* wrong = races->beginCopy(offset, bytes, w.index * kLanes + i, w.synced)) w.fail(i, wrong);
    }
    memset(reached.at[i], 0xff, bytes);  // nobody may count on what is there meanwhile
    w.copies[i].open.push_back({reinterpret_cast<const char*>(source[i]), offset, uint8_t(bytes), uint8_t(sizes ? sizes[i] : bytes)});
  }
}

void commitGroup(Warp& w, const Instruction&) {
  for (uint32_t left = w.mask; left; left &= left - 1) {
    Copies& copies = w.copies[unsigned(__builtin_ctz(left))];
    copies.groups.push_back(std::move(copies.open));
    copies.open.clear();
  }
}

void perform(Warp& w, unsigned lane, const std::vector<Copy>& group) {
  for (const Copy& copy : group) {
    char* to = w.block->shared() + copy.to;
    memset(to, 0, copy.bytes);
    memcpy(to, copy.from, copy.sourceBytes);
    if (Races* races = w.block->races()) races->endCopy(copy.to, copy.bytes, w.index * kLanes + lane);
  }
}

// immediate: how many of the newest groups may still be under way; -1: none, nor copies in no group.
void waitGroups(Warp& w, const Instruction& in) {
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    Copies& copies = w.copies[i];
    const auto keep = size_t(std::max<int64_t>(in.immediate, 0));
    while (copies.groups.size() > keep) {
      perform(w, i, copies.groups.front());
      copies.groups.erase(copies.groups.begin());
    }
    if (in.immediate < 0) perform(w, i, copies.open), copies.open.clear();
  }
}

bool decodeCopy(Decoder& d) {
  if (!d.mod("async")) return false;
  if (d.mod("commit_group")) return d.in.run = commitGroup, true;
  if (d.mod("wait_all")) return d.in.immediate = -1, d.in.run = waitGroups, true;
  if (d.mod("wait_group")) return d.in.immediate = d.literal(), d.in.run = waitGroups, true;
  const bool all = d.mod("ca");
  if ((!all && !d.mod("cg")) || !(d.mod("shared") || d.mod("shared::cta")) || !d.mod("global")) d.unknown();
  if (d.address() != Width::b32) d.unknown();
  const int64_t to = d.in.immediate;
  if (d.address() != Width::b64 || d.in.immediate != 0) d.unknown();
  d.in.immediate = to;
  const int64_t bytes = d.literal();
  if (bytes != 16 && (!all || (bytes != 4 && bytes != 8))) d.unknown();
  d.in.count = uint8_t(bytes);
  if (d.more()) d.source(Type::u32);
  d.in.run = copyAsync;
  return true;
}

}  // namespace

bool decodeMemory(const std::string& name, Decoder& d) {
  if (name != "cp" && name != "ld" && name != "st") return false;
  d.in.observes = true;
  if (name == "cp") return decodeCopy(d);
  const bool known = name == "ld" ? decodeLoad(d) : decodeStore(d);
  if (known && !d.in.run) d.unknown();
  return known;
}

}  // namespace tlora::ptx
