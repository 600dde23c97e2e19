#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>

#include "access_checks.h"

namespace tlora::emulated {

constinit thread_local Running running;

namespace {

std::string where(const std::source_location& at) {
  const char* name = strrchr(at.file_name(), '/');
  return std::string(name ? name + 1 : at.file_name()) + ":" + std::to_string(at.line());
}

dim3 coordinates(unsigned linear, const dim3& of) { return {linear % of.x, linear / of.x % of.y, linear / of.x / of.y}; }

}  // namespace

Block& thisBlock() {
  thread_local Block block;
  return block;
}

void fault(const std::string& message) {
  if (!running.inKernel) throw Fault(message);
  thisBlock().fail(message);
}

void waitForPrevious() { thisBlock().waitForPrevious(); }
int blockBarrier(bool value, const std::source_location& at) { return thisBlock().barrier(value, at); }
const uint64_t* warpRendezvous(WarpOp op, unsigned mask, uint64_t value, const std::source_location& at) {
  return thisBlock().rendezvous(op, mask, value, at);
}
SharedRange sharedArray(const void* identity, const char* name, size_t bytes) { return thisBlock().shared(identity, name, bytes); }
SharedRange dynamicSharedBytes() { return thisBlock().dynamicShared(); }

void Block::run(const dim3& index, const dim3& blockDim, const dim3& gridDim, size_t sharedBytes, const std::function<void()>& body) {
  if (!shared_) {
    void* memory = mmap(nullptr, kMostSharedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shared_ = static_cast<char*>(memory);
  }
  if (sharedBytes > kMostSharedBytes) throw Fault("a kernel asks for more shared memory than a block can have");
  count_ = int(blockDim.x * blockDim.y * blockDim.z);
  next_ = finished_ = 0;
  body_ = &body;
  dynamicBytes_ = sharedBytes;
  sharedUsed_ = (sharedBytes + 15) / 16 * 16;
  arrays_.clear();
  barrierValue_ = 0;
  waited_.assign(size_t(count_), false);
  const size_t warps = size_t(count_ + 31) / 32;
  if (warps_.size() < warps) warps_.resize(warps), waitingLanes_.resize(warps), warpEpochs_.resize(warps);
  std::fill(warpEpochs_.begin(), warpEpochs_.end(), 0);
  running = {{}, index, blockDim, gridDim, 0, 0, 0, true, false, shared_};
  while (fault_.empty()) {
    if (!ready_.empty()) {
      Fiber* fiber = ready_.front();
      ready_.pop_front();
      resume(fiber);
    } else if (next_ < count_) {
      if (free_.empty()) all_.push_back(makeFiber()), free_.push_back(all_.back());
      Fiber* fiber = free_.back();
      free_.pop_back();
      prepareFiber(*fiber, fiberMain);
      resume(fiber);
    } else if (finished_ < count_) {
      stuck();
    } else {
      break;
    }
  }
  running.inKernel = false;
  if (!fault_.empty()) abandon();
}

void Block::abandon() {
  const std::string message = place() + ": " + fault_;
  fault_.clear();
  free_ = all_;
  ready_.clear();
  atBarrier_.clear();
  for (auto& groups : warps_) groups.clear();
  for (auto& lanes : waitingLanes_) lanes.clear();
  throw Fault(message);
}

std::string Block::place() const {
  const auto text = [](const dim3& d) { return std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z); };
  return "block (" + text(running.block) + "), thread (" + text(running.thread) + ")";
}

void Block::resume(Fiber* fiber) {
  active_ = fiber;
  if (fiber->thread >= 0) begin(fiber->thread);
  switchStack(&scheduler_, fiber->stackPointer);
}

void Block::begin(int thread) {
  running.linear = unsigned(thread);
  running.thread = coordinates(running.linear, running.blockDim);
  running.warpEpoch = warpEpochs_[size_t(thread) / 32];
  running.waited = waited_[size_t(thread)];
}

// A fiber goes on to further threads for as long as none of them has to wait.
void Block::fiberMain() {
  Block& block = thisBlock();
  while (block.next_ < block.count_ && block.ready_.empty()) {
    block.active_->thread = block.next_++;
    block.begin(block.active_->thread);
    try {
      (*block.body_)();
    } catch (const std::exception& error) {
      block.fail(error.what());
    } catch (...) {
      block.fail("the kernel threw something that is not an exception");
    }
    if (!running.waited) block.fail("the thread never waited for the kernel before (waitForPrevious)");
    block.finished_++;
  }
  Fiber* self = block.active_;
  self->thread = -1;
  block.free_.push_back(self);
  switchStack(&self->stackPointer, block.scheduler_);
}

void Block::suspend() {
  Fiber* self = active_;
  switchStack(&self->stackPointer, scheduler_);
}

void Block::fail(const std::string& message) {
  if (fault_.empty()) fault_ = message;
  suspend();
  __builtin_unreachable();
}

// Nobody can go on: threads wait for others that have ended, or that wait elsewhere.
void Block::stuck() {
  for (size_t w = 0; w < waitingLanes_.size(); w++) {
    if (waitingLanes_[w].empty()) continue;
    for (const WarpGroup& group : warps_[w]) {
      if (group.arrived == 0) continue;
      const unsigned missing = group.mask & ~group.arrived;
      begin(int(w) * 32 + std::countr_zero(missing));
      fault_ = "lane " + std::to_string(std::countr_zero(missing)) + " of warp " + std::to_string(w) +
               " never came to the warp's exchange at " + where(group.at);
      return;
    }
  }
  std::vector<bool> waits(size_t(count_), false);
  for (const Fiber* fiber : atBarrier_) waits[size_t(fiber->thread)] = true;
  const auto missing = std::find(waits.begin(), waits.end(), false);
  begin(int(missing - waits.begin()));
  fault_ = "divergent barrier: the thread ended, but others wait at " + where(barrierAt_);
}

int Block::barrier(bool value, const std::source_location& at) {
  if (atBarrier_.empty()) {
    barrierAt_ = at;
    barrierValue_ = 0;
  } else if (at.line() != barrierAt_.line() || strcmp(at.file_name(), barrierAt_.file_name()) != 0) {
    fail("divergent barrier: the thread waits at " + where(at) + ", but others at " + where(barrierAt_));
  }
  barrierValue_ += value;
  if (int(atBarrier_.size()) + 1 < count_) {
    atBarrier_.push_back(active_);
    suspend();
    return barrierResult_;
  }
  barrierResult_ = barrierValue_;
  ready_.insert(ready_.end(), atBarrier_.begin(), atBarrier_.end());
  atBarrier_.clear();
  running.epoch++;
  return barrierResult_;
}

const uint64_t* Block::rendezvous(WarpOp op, unsigned mask, uint64_t value, const std::source_location& at) {
  const size_t w = running.linear / 32;
  const unsigned lane = running.linear % 32, lanes = std::min(32u, unsigned(count_) - unsigned(w) * 32);
  if (lanes < 32) mask &= (1u << lanes) - 1;  // a partial warp has no further lanes
  if (((mask >> lane) & 1) == 0) fail("a thread that its own mask leaves out calls a warp exchange at " + where(at));
  auto& groups = warps_[w];
  auto group = std::find_if(groups.begin(), groups.end(), [&](const WarpGroup& g) { return g.mask == mask; });
  if (group == groups.end()) group = groups.insert(groups.end(), WarpGroup{}), group->mask = mask;
  if (group->arrived == 0) {
    group->op = op;
    group->at = at;
  } else if (group->op != op || at.line() != group->at.line()) {
    fail("divergent warp: the thread is at " + where(at) + ", but others of its warp wait at " + where(group->at));
  }
  uint64_t* values = group->values[group->generation % 2];
  values[lane] = value;
  group->arrived |= 1u << lane;
  auto& waiting = waitingLanes_[w];
  if (group->arrived != mask) {
    waiting.push_back(active_);
    suspend();
    return values;
  }
  group->arrived = 0;
  group->generation++;
  const unsigned everyone = lanes < 32 ? (1u << lanes) - 1 : kAllLanes;
  if (op == WarpOp::sync && mask == everyone) running.warpEpoch = ++warpEpochs_[w];
  std::erase_if(waiting, [&](Fiber* fiber) {
    const bool ours = (mask >> (unsigned(fiber->thread) % 32)) & 1;
    if (ours) ready_.push_back(fiber);
    return ours;
  });
  return values;
}

SharedRange Block::shared(const void* identity, const char* name, size_t bytes) {
  for (const Array& array : arrays_) {
    if (array.identity == identity) return {shared_ + array.offset, array.bytes};
  }
  const size_t offset = sharedUsed_;
  if (offset + bytes > kMostSharedBytes) fail(std::string("no room for shared array ") + name);
  sharedUsed_ = (offset + bytes + 15) / 16 * 16;
  arrays_.push_back({identity, name, offset, bytes});
  return {shared_ + offset, bytes};
}

std::string Block::sharedName(size_t offset) const {
  for (const Array& array : arrays_) {
    if (offset >= array.offset && offset < array.offset + array.bytes) {
      return std::string("shared array ") + array.name + ", byte " + std::to_string(offset - array.offset);
    }
  }
  return "dynamic shared memory, byte " + std::to_string(offset);
}

}  // namespace tlora::emulated
