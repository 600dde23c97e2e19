#include "engine.h"

#include "error.h"
#include "thread_pool.h"

namespace tlora {

Engine::Engine(const Backend& backend, int threads, const DeviceOptions& options)
    : pool_(makeThreadPool(threads, cancelled_)), device_(backend, {pool_.get(), &cancelled_}, options), weights_(device_, *pool_) {}

Engine::~Engine() = default;

void Engine::loadWeights(const std::vector<WeightSource>& sources) {
  epoch_++;
  weights_.load(sources, cancelled_, progress_);
}

void Engine::addWeight(const WeightSource& source, const void* data, size_t bytes) {
  epoch_++;
  weights_.add(source, data, bytes);
}

size_t Engine::releaseWeights(const std::string& prefix) {
  epoch_++;
  return weights_.release(prefix);
}

std::string Engine::choices() const {
  std::string text(device_.backend.choices(device_.self, nullptr, 0), '\0');
  device_.backend.choices(device_.self, text.data(), text.size());
  text.pop_back();
  return text;
}

void Engine::choose(const std::string& choices, bool suggestions) {
  Reason reason;
  if (!device_.backend.choose(device_.self, choices.c_str(), suggestions, reason)) fail(kDevice, "%s", reason.text);
}

void Engine::createState(const std::string& name, size_t floats) {
  if (states_.contains(name)) fail(kNative, "state buffer '%s' is already there", name.c_str());
  if (floats < 1 || floats > (size_t{1} << 40)) fail(kNative, "state buffer '%s': %zu values are out of range", name.c_str(), floats);
  states_.emplace(name, Block(device_, Use::state, floats * sizeof(float), ("state buffer " + name).c_str()));
  epoch_++;
}

void Engine::releaseState(const std::string& name) {
  state(name);
  states_.erase(name);
  epoch_++;
}

Block& Engine::state(const std::string& name) {
  const auto found = states_.find(name);
  if (found == states_.end()) fail(kNative, "there is no state buffer '%s'", name.c_str());
  return found->second;
}

namespace {

void checkSlice(const std::string& name, const Block& block, size_t offset, size_t count) {
  const size_t floats = block.bytes() / sizeof(float);
  if (offset <= floats && count <= floats - offset) return;
  fail(kNative, "state buffer '%s': %zu values at %zu, but it has %zu", name.c_str(), count, offset, floats);
}

}  // namespace

void Engine::writeState(const std::string& name, size_t offset, const float* data, size_t count) {
  Block& block = state(name);
  checkSlice(name, block, offset, count);
  block.write(offset * sizeof(float), data, count * sizeof(float));
}

void Engine::readState(const std::string& name, size_t offset, float* data, size_t count) const {
  const Block& block = const_cast<Engine*>(this)->state(name);
  checkSlice(name, block, offset, count);
  block.read(offset * sizeof(float), data, count * sizeof(float));
}

void Engine::growArena(size_t bytes) {
  if (bytes <= arena_.bytes()) return;
  arena_ = Block();  // the old one goes first: nothing in an arena outlives a run
  epoch_++;
  arena_ = Block(device_, Use::arena, bytes, "the arena");
}

std::shared_ptr<Program> Engine::load(const uint8_t* plan, size_t bytes) {
  auto program = std::make_shared<Program>(shared_from_this(), decodePlan(plan, bytes));
  std::erase_if(programs_, [](const auto& p) { return p.expired(); });
  programs_.push_back(program);
  return program;
}

void Engine::dispose() {
  for (const auto& weak : programs_) {
    if (const auto program = weak.lock()) program->dispose();
  }
  programs_.clear();
  weights_.release("");
  states_.clear();
  arena_ = Block();
  epoch_++;
  device_.close();
}

}  // namespace tlora
