// PTX has as many registers as it likes; a warp's file would not fit into a processor's cache. Those that never hold a value at the same
// time share a slot: liveness over the kernel's blocks, then one pass over the intervals (Poletto and Sarkar, "Linear Scan Register
// Allocation", 1999). A register that is alive where the kernel begins may be read before it is written: the machine watches those.
#include <algorithm>
#include <array>
#include <map>

#include "decode.h"

namespace tlora::ptx {

namespace {

class Bits {
 public:
  explicit Bits(size_t count) : words_((count + 63) / 64) {}
  bool has(uint32_t i) const { return words_[i / 64] >> (i % 64) & 1; }
  void set(uint32_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  void clear(uint32_t i) { words_[i / 64] &= ~(uint64_t{1} << (i % 64)); }
  // Whether that changed anything.
  bool join(const Bits& other) {
    uint64_t changed = 0;
    for (size_t i = 0; i < words_.size(); i++) {
      changed |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return changed != 0;
  }
  template <class F>
  void each(F f) const {
    for (size_t w = 0; w < words_.size(); w++) {
      for (uint64_t left = words_[w]; left; left &= left - 1) f(uint32_t(w * 64 + size_t(__builtin_ctzll(left))));
    }
  }

 private:
  std::vector<uint64_t> words_;
};

struct Range {
  size_t from, to;  // instructions
};

class Liveness {
 public:
  Liveness(const Kernel& kernel, size_t registers) : kernel_(kernel), registers_(registers), ranges_(registers, {SIZE_MAX, 0}) {
    divide();
    for (size_t i = 0; i <= starts_.size(); i++) in_.emplace_back(registers);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = starts_.size(); b-- > 0;) changed |= in_[b].join(before(b, false));
    }
    for (size_t b = 0; b < starts_.size(); b++) before(b, true);
  }
  const std::vector<Range>& ranges() const { return ranges_; }
  const Bits& atEntry() const { return in_[0]; }

 private:
  size_t end(size_t block) const { return block + 1 < starts_.size() ? starts_[block + 1] : kernel_.code.size(); }

  void divide() {
    std::vector<bool> leads(kernel_.code.size() + 1, false);
    leads[0] = true;
    for (size_t i = 0; i < kernel_.code.size(); i++) {
      const Instruction& in = kernel_.code[i];
      if (in.flow == Flow::branch) leads[in.target] = leads[i + 1] = true;
      if (in.flow == Flow::exit) leads[i + 1] = true;
    }
    blockOf_.resize(kernel_.code.size() + 1);
    for (size_t i = 0; i < kernel_.code.size(); i++) {
      if (leads[i]) starts_.push_back(i);
      blockOf_[i] = starts_.size() - 1;
    }
    blockOf_[kernel_.code.size()] = starts_.size();
  }

  void touch(uint32_t reg, size_t at) {
    ranges_[reg].from = std::min(ranges_[reg].from, at);
    ranges_[reg].to = std::max(ranges_[reg].to, at);
  }

  // What is alive before a block, from what is alive after it.
  Bits before(size_t block, bool note) {
    Bits live(registers_);
    const size_t last = end(block) - 1;
    const Instruction& final = kernel_.code[last];
    if (final.flow == Flow::branch) live.join(in_[blockOf_[final.target]]);
    const bool goesOn = (final.flow != Flow::branch && final.flow != Flow::exit) || final.guard != kNoGuard;
    if (goesOn) live.join(in_[blockOf_[last + 1]]);
    if (note) live.each([&](uint32_t reg) { touch(reg, last); });
    for (size_t i = last + 1; i-- > starts_[block];) {
      const Instruction& in = kernel_.code[i];
      for (unsigned o = 0; o < in.operands; o++) {
        const Place place = kernel_.operands[in.first + o];
        if (place & kConstant) continue;
        if (note) touch(place, i);
        // Where a guard may be false the old value lives on.
        if (o < in.results && in.guard == kNoGuard) live.clear(place);
        if (o >= in.results) live.set(place);
      }
      if (in.guard != kNoGuard) {
        live.set(in.guard);
        if (note) touch(in.guard, i);
      }
    }
    if (note) live.each([&](uint32_t reg) { touch(reg, starts_[block]); });
    return live;
  }

  const Kernel& kernel_;
  const size_t registers_;
  std::vector<size_t> starts_, blockOf_;
  std::vector<Bits> in_;
  std::vector<Range> ranges_;
};

// Watches all instructions that a value can come to which lies in `bad` when the kernel begins.
void watch(Kernel& kernel, const Bits& bad, const std::vector<bool>& given, const std::vector<std::string>& names) {
  std::map<uint32_t, uint32_t> suspects;
  const auto add = [&](uint32_t reg, bool nobodys) {
    if (!suspects.try_emplace(reg, uint32_t(kernel.suspects.size())).second) return false;
    kernel.suspects.push_back(names[reg]);
    kernel.nobodys.push_back(nobodys);
    return true;
  };
  const auto known = [&](Place place) {
    const auto found = suspects.find(place);
    return found == suspects.end() ? Watch::kNone : found->second;
  };
  bad.each([&](uint32_t reg) {
    if (!given[reg]) add(reg, true);
  });
  if (suspects.empty()) return;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Instruction& in : kernel.code) {
      if (in.observes) continue;
      const Place* at = kernel.operands.data() + in.first;
      const bool reads = std::any_of(at + in.results, at + in.operands, [&](Place p) { return known(p) != Watch::kNone; });
      for (unsigned o = 0; reads && o < in.results; o++) changed |= add(at[o], false);
    }
  }
  for (Instruction& in : kernel.code) {
    const Place* at = kernel.operands.data() + in.first;
    Watch w;
    w.kind = in.selects ? Watch::selects : in.observes || in.results == 0 ? Watch::observes : Watch::computes;
    for (unsigned o = 0; o < in.operands; o++) {
      if (known(at[o]) != Watch::kNone) (o < in.results ? w.writes : w.reads).push_back(known(at[o]));
    }
    if (in.selects) w.first = known(at[1]), w.second = known(at[2]), w.chooser = known(at[3]);
    w.guard = known(in.guard);
    if (w.reads.empty() && w.writes.empty() && w.guard == Watch::kNone) continue;
    kernel.watches.push_back(std::move(w));
    in.watch = uint32_t(kernel.watches.size());
  }
}

}  // namespace

void allocateRegisters(Kernel& kernel, const std::vector<Width>& widths, const std::vector<std::string>& names) {
  Liveness liveness(kernel, widths.size());
  std::vector<Range> ranges = liveness.ranges();
  std::vector<bool> given(widths.size(), false);
  for (const auto& [special, reg] : kernel.specials) given[reg] = true, ranges[reg] = {0, kernel.code.size()};
  liveness.atEntry().each([&](uint32_t reg) {
    if (given[reg]) return;
    ranges[reg].from = 0;
  });
  watch(kernel, liveness.atEntry(), given, names);
  // A result may lie where a source of the same instruction ends, unless lanes read each other's.
  std::vector<bool> early(widths.size(), false);
  for (const Instruction& in : kernel.code) {
    for (unsigned o = 0; o < in.results && (in.crossLane || in.results > 1); o++) early[kernel.operands[in.first + o]] = true;
  }
  std::vector<uint32_t> order;
  for (uint32_t r = 0; r < widths.size(); r++) {
    if (ranges[r].from != SIZE_MAX) order.push_back(r);
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return ranges[a].from < ranges[b].from; });
  std::array<std::vector<uint32_t>, 4> active, free;
  std::array<uint32_t, 4> used = {};
  std::vector<uint32_t> slot(widths.size(), 0);
  for (const uint32_t r : order) {
    const auto w = size_t(widths[r]);
    const bool shares = !early[r];
    std::erase_if(active[w], [&](uint32_t other) {
      const bool over = ranges[other].to < ranges[r].from || (shares && ranges[other].to == ranges[r].from && ranges[other].from < ranges[r].from);
      if (over) free[w].push_back(slot[other]);
      return over;
    });
    if (free[w].empty()) free[w].push_back(used[w]++);
    slot[r] = free[w].back();
    free[w].pop_back();
    active[w].push_back(r);
  }
  std::array<size_t, 4> begin = {};
  size_t at = 0;
  for (size_t w = 4; w-- > 0;) {
    begin[w] = at;
    at += (used[w] * slotBytes(Width(w)) + 63) / 64 * 64;
  }
  kernel.registerBytes = at;
  const auto place = [&](Place reg) { return Place(begin[size_t(widths[reg])] + slot[reg] * slotBytes(widths[reg])); };
  for (Place& operand : kernel.operands) {
    if (!(operand & kConstant)) operand = place(operand);
  }
  for (Instruction& in : kernel.code) {
    if (in.guard != kNoGuard) in.guard = place(in.guard);
  }
  for (auto& [special, reg] : kernel.specials) reg = place(reg);
}

}  // namespace tlora::ptx
