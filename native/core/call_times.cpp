// Times of single calls of a program, as a benchmark wants them: many at once, behind each other, and from memory.
#include "engine.h"
#include "error.h"

namespace tlora {

std::vector<double> Program::timeCalls(const std::vector<size_t>& which, size_t flush, int repeat) {
  bind();
  const Backend& backend = engine_->device_.backend;
  void* self = engine_->device_.self;
  RunOptions one;
  one.profile = true;
  std::vector<double> turns;
  double ms = 0;
  for (const size_t i : which) runCall(i, one, ms);  // libraries choose their algorithms outside of a recording
  void* recording = backend.record ? recordCalls(which) : nullptr;
  const auto discard = [&] {
    if (recording) backend.discard(self, recording);
  };
  try {
    for (int turn = 0; turn < repeat; turn++) {
      runCall(flush, one, ms);
      double sum = 0;
      Reason reason;
      if (recording && !backend.replay(self, recording, &sum, reason)) fail(kDevice, "%s", reason.text);
      for (const size_t i : which) {
        if (recording) break;
        runCall(i, one, ms);
        sum += ms;
      }
      turns.push_back(sum);
    }
  } catch (...) {
    discard();
    throw;
  }
  discard();
  return turns;
}

}  // namespace tlora
