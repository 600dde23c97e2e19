#include "machine.h"

#include <algorithm>
#include <cstring>

#include "../heap.h"
#include "assemble.h"

namespace tlora::ptx {

using emulated::Fault;

namespace {

std::string text(const dim3& d) { return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")"; }

}  // namespace

void Warp::fail(unsigned lane, const std::string& what) { block->fail(*this, lane, what); }

void Block::fail(const Warp& warp, unsigned lane, const std::string& what) const {
  const Kernel& kernel = *launch_->kernel;
  const dim3& size = launch_->block;
  const unsigned linear = warp.index * kLanes + lane;
  const dim3 thread(linear % size.x, linear / size.x % size.y, linear / size.x / size.y);
  const uint32_t line = warp.pc < kernel.code.size() ? kernel.code[warp.pc].line : 0;
  throw Fault("kernel " + kernel.name + ", PTX line " + std::to_string(line) + " '" + kernel.textOf(line) + "', block " + text(index_) + ", thread " +
              text(thread) + ": " + what);
}

Block::Block(const Launch& launch) : launch_(&launch) {
  const Kernel& kernel = *launch.kernel;
  const unsigned threads = launch.block.x * launch.block.y * launch.block.z;
  sharedBytes_ = kernel.staticShared + launch.sharedBytes;
  shared_.resize(sharedBytes_ + 16);
  if (emulated::checking()) races_ = std::make_unique<Races>(sharedBytes_ + 16);
  for (unsigned first = 0; first < threads; first += kLanes) {
    auto warp = std::make_unique<Warp>();
    warp->block = this;
    warp->index = first / kLanes;
    const unsigned count = std::min(kLanes, threads - first);
    warp->begun = count == kLanes ? kEveryLane : (1u << count) - 1;
    warp->registers.resize(kernel.registerBytes + 64);
    warp->local.resize(kernel.localBytes * kLanes);
    const auto base = (reinterpret_cast<uintptr_t>(warp->registers.data()) + 63) / 64 * 64;
    warp->bases[0] = reinterpret_cast<char*>(base);
    warp->bases[1] = const_cast<char*>(kernel.constants.data());
    warps_.push_back(std::move(warp));
  }
}

void Block::begin(Warp& warp) {
  const dim3 &size = launch_->block, &grid = launch_->grid;
  warp.live = warp.group = warp.begun;
  warp.pc = 0;
  warp.parked.clear();
  warp.nextParked = UINT32_MAX;
  warp.atBarrier = false;
  warp.dependencyAwaited = 0;
  warp.carry = 0;
  warp.mask = 0;
  std::fill(std::begin(warp.lanes), std::end(warp.lanes), 0);
  if (emulated::checking()) {
    warp.nobodys.clear();
    for (const bool from : launch_->kernel->nobodys) warp.nobodys.push_back(from ? kEveryLane : 0);
  }
  for (Copies& copies : warp.copies) copies.open.clear(), copies.groups.clear();
  for (const auto& [special, place] : launch_->kernel->specials) {
    uint32_t* values = warp.at<uint32_t>(place);
    for (unsigned i = 0; i < kLanes; i++) {
      const unsigned linear = warp.index * kLanes + i;
      const uint32_t all[] = {linear % size.x, linear / size.x % size.y, linear / size.x / size.y, size.x, size.y, size.z, index_.x,
                              index_.y,        index_.z,                 grid.x,                   grid.y, grid.z, i,      warp.index};
      values[i] = all[size_t(special)];
    }
  }
}

void Block::run(unsigned x, unsigned y, unsigned z) {
  index_ = dim3(x, y, z);
  if (races_) races_->beginBlock();
  memset(shared_.data(), 0xff, shared_.size());
  for (auto& warp : warps_) begin(*warp);
  for (;;) {
    bool waits = false;
    for (auto& warp : warps_) {
      if (warp->live && !warp->atBarrier) runWarp(*warp);
      waits |= warp->live != 0;
    }
    if (!waits) return;
    passBarrier();
  }
}

// Every thread of the block has to come.
void Block::passBarrier() {
  const auto waiting = std::find_if(warps_.begin(), warps_.end(), [](const auto& w) { return w->atBarrier; });
  for (auto& warp : warps_) {
    const uint32_t ended = warp->begun & ~warp->live;
    if (ended) {
      warp->pc = (*waiting)->pc - 1;
      warp->fail(unsigned(__builtin_ctz(ended)), "divergent barrier: the thread has ended, but others wait here");
    }
  }
  for (auto& warp : warps_) warp->atBarrier = false;
  if (races_) races_->passBarrier();
}

void Block::park(Warp& warp, uint32_t pc, uint32_t lanes, bool waiting) {
  for (Warp::Parked& p : warp.parked) {
    if (p.pc == pc) {
      p.mask |= lanes;
      p.waiting &= waiting;
      if (!p.waiting) warp.nextParked = std::min(warp.nextParked, pc);
      return;
    }
  }
  warp.parked.push_back({pc, lanes, waiting});
  if (!waiting) warp.nextParked = std::min(warp.nextParked, pc);
}

// The lanes that are furthest behind go on; if all wait, those whose others will not come. false: none.
bool Block::choose(Warp& warp) {
  const Warp::Parked* best = nullptr;
  for (const Warp::Parked& p : warp.parked) {
    if (!p.waiting && (!best || p.pc < best->pc)) best = &p;
  }
  if (!best) return false;
  warp.pc = best->pc;
  warp.group = best->mask;
  warp.parked.erase(warp.parked.begin() + (best - warp.parked.data()));
  warp.nextParked = UINT32_MAX;
  for (const Warp::Parked& p : warp.parked) {
    if (!p.waiting) warp.nextParked = std::min(warp.nextParked, p.pc);
  }
  return true;
}

// Whether all lanes that the instruction is for have come to it.
bool Block::come(Warp& warp, const Instruction& in, uint32_t active) {
  if (in.flow == Flow::aligned && warp.live != kEveryLane) warp.fail(unsigned(__builtin_ctz(active)), "this instruction asks for a whole warp");
  if (in.flow != Flow::together) return active == warp.live;
  const uint32_t* masks = warp.at<uint32_t>(in.at[in.operands - 1]);  // the last operand
  for (uint32_t left = active; left; left &= left - 1) {
    const unsigned lane = unsigned(__builtin_ctz(left));
    const uint32_t wanted = masks[lane];
    const uint32_t same = active & bitsOf([=](unsigned i) { return masks[i] == wanted; });
    if (!(masks[lane] >> lane & 1)) warp.fail(lane, "the thread's own mask leaves it out");
    if ((masks[lane] & warp.live) & ~same) return false;
    if (same == active) return true;
  }
  return true;
}

// Follows values that no instruction has written to where they would be seen (Watch).
void Block::follow(Warp& warp, const Instruction& in, uint32_t active) {
  const Watch& watch = launch_->kernel->watches[in.watch - 1];
  const auto of = [&](uint32_t suspect) { return suspect == Watch::kNone ? 0 : warp.nobodys[suspect]; };
  const auto expectNone = [&](uint32_t suspect, uint32_t lanes) {
    const uint32_t seen = of(suspect) & lanes;
    if (seen) warp.fail(unsigned(__builtin_ctz(seen)), "register " + launch_->kernel->suspects[suspect] + " holds what no instruction has written");
  };
  uint32_t bad = 0;
  expectNone(watch.guard, warp.group);
  if (watch.kind == Watch::selects) {
    const uint32_t predicate = *warp.at<uint32_t>(in.at[3]);
    expectNone(watch.chooser, active);
    bad = (of(watch.first) & predicate) | (of(watch.second) & ~predicate);
  } else {
    for (const uint32_t suspect : watch.reads) {
      bad |= of(suspect);
      if (watch.kind == Watch::observes) expectNone(suspect, active);
    }
  }
  for (const uint32_t suspect : watch.writes) warp.nobodys[suspect] = (warp.nobodys[suspect] & ~active) | (bad & active);
}

// All lanes wait. Some may have ended meanwhile that others waited for, or all have come to shuffles in several places.
void Block::unblock(Warp& warp) {
  const Instruction* code = launch_->kernel->code.data();
  bool found = false;
  std::vector<Meeting> meeting;
  for (Warp::Parked& p : warp.parked) {
    warp.pc = p.pc;
    meeting.push_back({&code[p.pc], p.mask});
    if (come(warp, code[p.pc], p.mask)) p.waiting = false, found = true;
  }
  if (found) return;
  if (meet(warp, meeting)) {
    std::vector<Warp::Parked> groups;
    std::swap(groups, warp.parked);
    for (const Warp::Parked& p : groups) park(warp, p.pc + 1, p.mask, false);
    return;
  }
  const Warp::Parked& p = warp.parked.front();
  warp.pc = p.pc;
  std::string others;
  for (const Warp::Parked& o : warp.parked) {
    if (o.pc != p.pc) others += "; others wait at PTX line " + std::to_string(code[o.pc].line);
  }
  warp.fail(unsigned(__builtin_ctz(p.mask)), "lanes that this instruction waits for never come to it" + others);
}

void Block::runWarp(Warp& warp) {
  const Instruction* code = launch_->kernel->code.data();
  for (;;) {
    if (warp.group == 0 || warp.pc >= warp.nextParked) {
      if (warp.group) park(warp, warp.pc, warp.group, false);
      warp.group = 0;
      if (!choose(warp)) {
        if (!warp.live) return;
        unblock(warp);
        choose(warp);
      }
    }
    const Instruction& in = code[warp.pc];
    uint32_t active = warp.group;
    if (in.guard != kNoGuard) {
      const uint32_t predicate = *warp.at<uint32_t>(in.guard);
      active &= in.guardNot ? ~predicate : predicate;
    }
    if (in.watch && !warp.nobodys.empty()) follow(warp, in, active);
    switch (in.flow) {
      case Flow::next:
        if (active) {
          warp.setMask(active);
          in.run(warp, in);
        }
        warp.pc++;
        break;
      case Flow::branch:
        if (active == warp.group) {
          warp.pc = in.target;
        } else if (active == 0) {
          warp.pc++;
        } else {
          split(warp, in.target, active);
        }
        break;
      case Flow::exit:
        warp.live &= ~active;
        warp.group &= ~active;
        warp.pc++;
        if (!warp.live) return;
        break;
      case Flow::together:
      case Flow::aligned:
      case Flow::barrier: {
        if (active == 0) {
          warp.pc++;
          break;
        }
        // Those whose guard is false go on by themselves.
        if (active != warp.group) park(warp, warp.pc + 1, warp.group & ~active, false);
        for (auto p = warp.parked.begin(); p != warp.parked.end(); ++p) {
          if (p->pc != warp.pc || !p->waiting) continue;
          active |= p->mask;
          warp.parked.erase(p);
          break;
        }
        warp.group = active;
        if (!come(warp, in, active)) {
          park(warp, warp.pc, active, true);
          warp.group = 0;
          break;
        }
        warp.setMask(active);
        if (in.run) in.run(warp, in);
        warp.pc++;
        if (in.flow == Flow::barrier) {
          warp.atBarrier = true;
          return;
        }
        break;
      }
    }
  }
}

void Block::split(Warp& warp, uint32_t target, uint32_t taken) {
  const uint32_t rest = warp.group & ~taken, next = warp.pc + 1;
  if (target < next) {
    park(warp, next, rest, false);
    warp.pc = target;
    warp.group = taken;
  } else {
    park(warp, target, taken, false);
    warp.pc = next;
    warp.group = rest;
  }
}

}  // namespace tlora::ptx
