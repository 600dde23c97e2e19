#include "dnnPlan.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace tlora::cuda {
namespace {

std::string message(cudnnStatus_t status, const char* what) {
  char last[512] = "";
  cudnnGetLastErrorString(last, sizeof last);
  return std::string("cuDNN: ") + what + ": " + cudnnGetErrorString(status) + (last[0] ? std::string(", ") + last : "");
}

// An engine and the values of its knobs: all that an engine configuration is.
struct EngineChoice {
  int64_t engine = -1;
  std::vector<std::pair<cudnnBackendKnobType_t, int64_t>> knobs;

  std::string text() const {
    std::string text = "engine " + std::to_string(engine);
    for (const auto& [knob, value] : knobs) text.append(" ").append(std::to_string(int(knob))).append("=").append(std::to_string(value));
    return text;
  }
  static std::optional<EngineChoice> read(const std::string& text) {
    EngineChoice choice;
    int used = 0;
    long long engine = 0, value = 0;
    if (sscanf(text.c_str(), "engine %lld%n", &engine, &used) != 1) return std::nullopt;
    choice.engine = engine;
    const char* at = text.c_str() + used;
    for (int knob = 0; sscanf(at, " %d=%lld%n", &knob, &value, &used) == 2; at += used) {
      choice.knobs.emplace_back(cudnnBackendKnobType_t(knob), value);
    }
    if (*at != 0) return std::nullopt;
    return choice;
  }
};

Descriptor operationGraph(const DnnTarget& target, const DnnGraph& graph) {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const Descriptor& operation : graph.operations) operations.push_back(operation.get());
  Descriptor made(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  made.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(operations.size()), operations.data());
  if (target.handle) made.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
  made.finalize("operation graph");
  return made;
}

// Plans for a described device (see DnnTarget); the attributes are those of cuDNN 9.8.
void aim(const DnnTarget& target, Descriptor& at, int attribute) {
  if (!target.handle) {
    at.set(cudnnBackendAttributeName_t(attribute), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target.deviceProperties);
  }
}
constexpr int kHeuristicsDevice = 204, kPlanDevice = 407, kEngineDevice = 1307;

std::vector<Descriptor> candidatesOf(const DnnTarget& target, const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  aim(target, heuristics, kHeuristicsDevice);
  heuristics.finalize("heuristics");
  const int64_t most = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < most; i++) raw.push_back(found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  const int64_t count = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raw.data());
  while (int64_t(found.size()) > count) found.pop_back();
  return found;
}

// Whether the status says that a graph or an engine is not for this device or shape, rather than that something broke.
bool notSupported(cudnnStatus_t status) { return status >= CUDNN_STATUS_NOT_SUPPORTED && status < CUDNN_STATUS_INTERNAL_ERROR; }

// A mode that knows nothing of a graph says so by an error; the other mode may know more.
std::vector<Descriptor> candidates(const DnnTarget& target, const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  try {
    return candidatesOf(target, graph, mode);
  } catch (const DnnError& error) {
    if (notSupported(error.status)) return {};
    throw;
  }
}

Descriptor engineOf(const Descriptor& configuration) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.get();
  configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
  return engine;
}

bool allowed(const Descriptor& engine, const DnnRules& rules) {
  cudnnBackendNumericalNote_t notes[32];
  const int64_t count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 32, notes);
  return std::none_of(notes, notes + std::min<int64_t>(count, 32), [&](cudnnBackendNumericalNote_t note) {
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
      case CUDNN_NUMERICAL_NOTE_FFT:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13: return true;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS: return rules.strictFloat;
      default: return false;
    }
  });
}

EngineChoice choiceOf(const Descriptor& configuration, const Descriptor& engine) {
  EngineChoice choice;
  engine.get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &choice.engine);
  std::vector<Descriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; i++) raw.push_back(knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR).get());
  const int64_t count =
      configuration.get(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(raw.size()), raw.data());
  for (int64_t i = 0; i < count; i++) {
    cudnnBackendKnobType_t knob{};
    int64_t value = 0;
    knobs[size_t(i)].get(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &knob);
    knobs[size_t(i)].get(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
    choice.knobs.emplace_back(knob, value);
  }
  return choice;
}

Descriptor configurationOf(const DnnTarget& target, const Descriptor& graph, const EngineChoice& choice) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  aim(target, engine, kEngineDevice);
  engine.finalize("engine");
  std::vector<Descriptor> knobs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [knob, value] : choice.knobs) {
    Descriptor& made = knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    made.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &knob).set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
    raw.push_back(made.finalize("knob").get());
  }
  Descriptor configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!raw.empty()) {
    configuration.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(raw.size()), raw.data());
  }
  configuration.finalize("engine configuration");
  return configuration;
}

std::unique_ptr<DnnPlan> planOf(const DnnTarget& target, Descriptor configuration) {
  auto made = std::make_unique<DnnPlan>();
  made->configuration = std::move(configuration);
  made->plan = Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  made->plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, made->configuration);
  if (target.handle) made->plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target.handle);
  aim(target, made->plan, kPlanDevice);
  made->plan.finalize("execution plan");
  made->plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &made->workspaceBytes);
  return made;
}

struct Candidate {
  std::unique_ptr<DnnPlan> plan;
  std::string choice;
};

// Up to `most` plans. An engine that breaks is passed over, and named only if no other does the graph. What cuDNN falls back to counts only
// where its heuristics have nothing.
std::vector<Candidate> search(const DnnTarget& target, const Descriptor& graph, const DnnRules& rules, size_t most) {
  std::optional<DnnError> broken;
  std::vector<Candidate> found;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    std::vector<Descriptor> offered;
    if (found.empty()) offered = candidates(target, graph, mode);
    for (Descriptor& configuration : offered) {
      if (found.size() >= most) break;
      const Descriptor engine = engineOf(configuration);
      if (!allowed(engine, rules)) continue;
      try {
        const std::string choice = choiceOf(configuration, engine).text();
        if (std::any_of(found.begin(), found.end(), [&](const Candidate& other) { return other.choice == choice; })) continue;
        auto plan = planOf(target, std::move(configuration));
        if (plan->workspaceBytes <= rules.workspaceBytes) found.push_back({std::move(plan), choice});
      } catch (const DnnError& error) {
        if (!notSupported(error.status)) broken = error;
      }
    }
  }
  if (found.empty() && broken && !rules.dispensable) throw *broken;
  return found;
}

// A choice that is no engine's: none does the graph, or our own kernels are faster.
constexpr const char *kNoEngine = "none", *kOwn = "own";

// The fastest plan, or the first where they are not tried.
Choice choose(const DnnTarget& target, const Descriptor& graph, const DnnRules& rules, const DnnTrials* trials, std::unique_ptr<DnnPlan>& plan) {
  std::vector<Candidate> found = search(target, graph, rules, trials ? trials->most : 1);
  if (found.empty()) return {kNoEngine, ""};
  Verdict verdict;
  std::vector<std::function<void()>> ways;
  for (const Candidate& candidate : found) {
    ways.push_back([&, tried = candidate.plan.get()] { trials->queue(*tried); });
  }
  if (trials && trials->own) ways.push_back(trials->own);
  if (trials && ways.size() > 1) verdict = trials->judge(ways);
  if (verdict.fastest == found.size()) return {kOwn, verdict.times};
  plan = std::move(found[verdict.fastest].plan);
  return {found[verdict.fastest].choice, verdict.times};
}

std::unique_ptr<DnnPlan> recall(const DnnTarget& target, const Descriptor& graph, const DnnRules& rules, const std::string& shape,
                                const std::string& kept) {
  if (kept == kNoEngine || kept == kOwn) return nullptr;
  const std::optional<EngineChoice> choice = EngineChoice::read(kept);
  if (!choice) fail(kDevice, "cuDNN: the kept choice of an algorithm cannot be read: %s (%s)", kept.c_str(), shape.c_str());
  std::unique_ptr<DnnPlan> plan;
  try {
    plan = planOf(target, configurationOf(target, graph, *choice));
  } catch (const DnnError& error) {  // another engine would give other bits
    fail(kDevice, "%s: the kept choice of an algorithm, %s, cannot be made again (%s)", error.what(), kept.c_str(), shape.c_str());
  }
  if (plan->workspaceBytes <= rules.workspaceBytes) return plan;
  fail(kDevice, "cuDNN: the kept choice of an algorithm needs %lld bytes of workspace, there are %lld (%s)", (long long)plan->workspaceBytes,
       (long long)rules.workspaceBytes, shape.c_str());
}

}  // namespace

DnnError::DnnError(cudnnStatus_t status, const char* what) : Error(kDevice, message(status, what)), status(status) {}

void checkDnn(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) throw DnnError(status, what);
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) { checkDnn(cudnnBackendCreateDescriptor(type, &made_), "new descriptor"); }

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  const cudnnStatus_t status = cudnnBackendSetAttribute(made_, name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS) throw DnnError(status, ("attribute " + std::to_string(int(name))).c_str());
  return *this;
}

Descriptor& Descriptor::finalize(const char* what) {
  checkDnn(cudnnBackendFinalize(made_), what);
  return *this;
}

int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room, void* values) const {
  int64_t count = 0;
  const cudnnStatus_t status = cudnnBackendGetAttribute(made_, name, type, room, &count, values);
  if (status != CUDNN_STATUS_SUCCESS) throw DnnError(status, ("reading attribute " + std::to_string(int(name))).c_str());
  return count;
}

cudnnDataType_t dnnType(DType dtype) {
  return dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : dtype == DType::f16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

Descriptor tensorDescriptor(const DnnTensor& t) {
  constexpr int64_t kAlignment = 16;
  Descriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, t.uid).set(CUDNN_ATTR_TENSOR_DATA_TYPE, t.type);
  made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment);
  made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, t.sizes).set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t.strides);
  made.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, t.isVirtual);
  if (t.byValue) made.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
  made.finalize("tensor");
  return made;
}

const Descriptor& DnnGraph::tensor(const DnnTensor& tensor) { return parts.emplace_back(tensorDescriptor(tensor)); }

std::unique_ptr<DnnPlan> makePlan(const DnnTarget& target, const DnnGraph& graph, const DnnRules& rules, const std::string& shape,
                                  Choices* choices, const DnnTrials* trials) {
  try {
    const Descriptor operations = operationGraph(target, graph);
    std::unique_ptr<DnnPlan> plan;
    const auto take = [&](const std::string& kept) { plan = recall(target, operations, rules, shape, kept); };
    const auto chosen = [&] { return choose(target, operations, rules, trials, plan); };
    if (choices) choices->settle(shape, take, chosen);
    else chosen();
    return plan;
  } catch (const DnnError& error) {
    if (notSupported(error.status) || rules.dispensable) return nullptr;
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

void runPlan(const Context& context, const DnnTarget& target, const DnnPlan& plan, std::initializer_list<DnnPointer> pointers) {
  std::vector<int64_t> uids;
  std::vector<const void*> data;
  for (const DnnPointer& pointer : pointers) {
    uids.push_back(pointer.uid);
    data.push_back(pointer.data);
  }
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, int64_t(uids.size()), uids.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, int64_t(data.size()), data.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &context.workspace);
  pack.finalize("variant pack");
  checkDnn(cudnnBackendExecute(target.handle, plan.plan.get(), pack.get()), "run of a plan");
}

}  // namespace tlora::cuda
