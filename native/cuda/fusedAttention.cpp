#include "fusedAttention.h"

#include <cmath>

#include "attentionGraphs.h"
#include "libraryState.h"
#include "shapeText.h"

namespace tlora::cuda {
namespace {

// Types and widths that the operations take at all; anything else, and any shape that has no engine, is left to our own kernels.
bool coverable(const Context& context, const FusedAttention& s) {
  return context.capability >= 80 && (s.dtype == DType::bf16 || s.dtype == DType::f16) && !s.causal && s.d % 8 == 0 && s.queryRow % 8 == 0 &&
         s.keyRow % 8 == 0;
}

// Plans that are tried for a shape: each is compiled, which takes a third of a second.
constexpr size_t kCandidates = 2;

// The plan of a shape, made at its first use; nullptr where no engine does it, or `own` is faster than `queue`.
template <class Build>
const DnnPlan* planOf(Context& context, const std::string& shape, int64_t room, Build build, const std::function<void(const DnnPlan&)>& queue,
                      const std::function<void()>& own) {
  Libraries& libraries = *context.libraries;
  const auto known = libraries.dnnPlans.find(shape);
  if (known != libraries.dnnPlans.end()) return known->second.get();
  std::unique_ptr<DnnPlan>& plan = libraries.dnnPlans[shape];
  const DnnRules rules{.workspaceBytes = room, .dispensable = true};
  const Trying trying(context);
  const DnnTrials trials{kCandidates, queue, own, [&](const auto& ways) { return tryAll(*context.stopwatch, ways); }};
  try {
    plan = makePlan(libraries.dnn, build(), rules, shape, &libraries.choices, trying ? &trials : nullptr);
  } catch (const DnnError&) {  // an operation that this version does not take: the shape stays uncovered
  }
  return plan.get();
}

void run(const Context& context, const DnnPlan& plan, const std::string& shape, std::initializer_list<DnnPointer> pointers) {
  try {
    runPlan(context, context.libraries->dnn, plan, pointers);
  } catch (const DnnError& error) {
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

// Where a gradient keeps dS: in the libraries' workspace, or in the memory for attention where there is more of that.
struct Room {
  void* memory;
  int64_t bytes;
  explicit Room(const Context& context) : memory(context.workspace), bytes(int64_t(workspaceFor(context))) {
    if (int64_t(context.attentionBytes) > bytes) memory = context.attention, bytes = int64_t(context.attentionBytes);
  }
};

// How much of a gradient is done at once: all of it, or some heads of one sample, so that dS fits its room. heads = 0: nothing fits, or
// a piece would not begin on 16 bytes of lse, or has fewer tiles of 64 keys than the device has multiprocessors, and our own kernels, which do all heads at once, are left to it.
struct Part {
  int64_t samples = 0, heads = 0;
  Part(const Context& context, int64_t room, const FusedAttention& s) {
    if (attentionGradientBytes(s, s.heads) <= room) {
      samples = s.n, heads = s.heads;
      return;
    }
    FusedAttention one = s;
    one.n = samples = 1;
    for (int64_t h = s.heads; h > 0 && h * ((s.tk + 63) / 64) >= context.multiprocessors; h--) {
      if (s.heads % h != 0 || h * s.tq % 4 != 0 || attentionGradientBytes(one, h) > room) continue;
      heads = h;
      return;
    }
  }
};

// Pieces of the op's workspace, one behind the other; nullptr once there is no room.
class Places {
 public:
  explicit Places(const Context& context) : context_(context) {}
  void* take(int64_t bytes) {
    const size_t at = used_;
    used_ += (size_t(bytes) + 255) / 256 * 256;
    char* memory = static_cast<char*>(opWorkspace(context_, used_));
    return memory ? memory + at : nullptr;
  }

 private:
  const Context& context_;
  size_t used_ = 0;
};

const void* moved(const void* data, int64_t bytes) { return static_cast<const char*>(data) + bytes; }

}  // namespace

bool fusedAttention(Context& context, const FusedAttention& s, const void* q, const void* k, const void* v, void* o, float* lse,
                    const std::function<void()>& own) {
  if (cudnnGetVersion() < kForwardSince || !coverable(context, s)) return false;
  const std::string shape = textOf(s, "forward");
  const float scale = 1 / std::sqrt(float(s.d));
  const auto queue = [&](const DnnPlan& plan) {
    run(context, plan, shape, {{kQ, q}, {kK, k}, {kV, v}, {kO, o}, {kStats, lse}, {kScale, &scale}});
  };
  const DnnPlan* plan = planOf(context, shape, int64_t(workspaceFor(context)), [&] { return attentionForwardGraph(s); }, queue, own);
  if (plan) queue(*plan);
  return plan != nullptr;
}

bool fusedAttentionVjp(Context& context, const FusedAttention& s, const FusedAttentionGradient& tensors, const std::function<void()>& own) {
  const Room room(context);
  const Part part(context, room.bytes, s);
  if (part.heads == 0 || !coverable(context, s) || !attentionGradientWorks(s, cudnnGetVersion())) return false;
  FusedAttentionGradient t = tensors;
  Places places(context);
  const int64_t element = int64_t(dtypeBytes(s.dtype)), queryRow = s.queryRow * element, keyRow = s.keyRow * element, outRow = s.outRow() * element;
  void* delta = places.take(part.samples * part.heads * s.tq * int64_t(sizeof(float)));
  if (!t.dq) t.dq = places.take(s.n * s.tq * queryRow);
  if (!t.dk) t.dk = places.take(s.n * s.tk * keyRow);
  if (!t.dv) t.dv = places.take(s.n * s.tk * keyRow);
  if (!delta || !t.dq || !t.dk || !t.dv) return false;
  FusedAttention piece = s;
  piece.n = part.samples;
  const std::string shape = textOf(s, "backward") + " by " + std::to_string(part.heads) + " heads" + (part.samples < s.n ? " of a sample" : "");
  const float scale = 1 / std::sqrt(float(s.d)), one = 1;
  Context roomy = context;
  roomy.workspace = room.memory;
  const auto queue = [&](const DnnPlan& plan) {
    for (int64_t sample = 0; sample < s.n; sample += part.samples) {
      for (int64_t head = 0; head < s.heads; head += part.heads) {
        const int64_t channel = head * s.d * element;
        const int64_t query = sample * s.tq * queryRow + channel, key = sample * s.tk * keyRow + channel, out = sample * s.tq * outRow + channel;
        run(roomy, plan, shape,
            {{kQ, moved(t.q, query)},
             {kK, moved(t.k, key)},
             {kV, moved(t.v, key)},
             {kO, moved(t.o, out)},
             {kStats, t.lse + (sample * s.heads + head) * s.tq},
             {kScale, &scale},
             {kOne, &one},
             {kDelta, delta},
             {kDO, moved(t.dO, out)},
             {kDQ, moved(t.dq, query)},
             {kDK, moved(t.dk, key)},
             {kDV, moved(t.dv, key)}});
      }
    }
  };
  const DnnPlan* plan = planOf(context, shape, room.bytes, [&] { return attentionGradientGraph(piece, part.heads); }, queue, own);
  if (plan) queue(*plan);
  return plan != nullptr;
}

}  // namespace tlora::cuda
