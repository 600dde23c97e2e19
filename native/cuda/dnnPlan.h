// Operation graphs of cuDNN as descriptors, and execution plans made of them.
#pragma once
#include <cudnn.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "choices.h"
#include "context.h"
#include "trials.h"

namespace tlora::cuda {

// What plans are made for: the device of a handle. Without one, cuDNN 9.8 and newer also make plans, never run, for a device described
// in `deviceProperties`; tests without a device use that.
struct DnnTarget {
  cudnnHandle_t handle = nullptr;
  cudnnBackendDescriptor_t deviceProperties = nullptr;
};

// A status other than success, with what was being done and cuDNN's last message.
struct DnnError : Error {
  DnnError(cudnnStatus_t status, const char* what);
  cudnnStatus_t status;
};
void checkDnn(cudnnStatus_t status, const char* what);

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  Descriptor(Descriptor&& other) noexcept : made_(std::exchange(other.made_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(made_, other.made_);
    return *this;
  }
  ~Descriptor() {
    if (made_) cudnnBackendDestroyDescriptor(made_);
  }

  cudnnBackendDescriptor_t get() const { return made_; }

  // Attributes by the type that cuDNN wants for them.
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void* values);
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) { return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.made_); }
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnDataType_t value) { return set(name, CUDNN_TYPE_DATA_TYPE, 1, &value); }
  Descriptor& set(cudnnBackendAttributeName_t name, int64_t value) { return set(name, CUDNN_TYPE_INT64, 1, &value); }
  Descriptor& set(cudnnBackendAttributeName_t name, bool value) { return set(name, CUDNN_TYPE_BOOLEAN, 1, &value); }
  Descriptor& set(cudnnBackendAttributeName_t name, float value) { return set(name, CUDNN_TYPE_FLOAT, 1, &value); }
  Descriptor& set(cudnnBackendAttributeName_t name, std::initializer_list<int64_t> values) {
    return set(name, CUDNN_TYPE_INT64, int64_t(values.size()), values.begin());
  }
  Descriptor& finalize(const char* what);

  // Up to `room` values of an attribute of a finalized descriptor; gives how many there are.
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room, void* values) const;

 private:
  cudnnBackendDescriptor_t made_ = nullptr;
};

cudnnDataType_t dnnType(DType dtype);

// A tensor of four sizes in cuDNN's order. `uid` names its pointer when the plan runs; a virtual tensor is never in memory.
struct DnnTensor {
  int64_t uid;
  cudnnDataType_t type;
  int64_t sizes[4], strides[4];
  bool isVirtual = false;
  bool byValue = false;  // its pointer is to the host's memory
};
Descriptor tensorDescriptor(const DnnTensor& tensor);

// Operations and the descriptors that they refer to.
struct DnnGraph {
  std::deque<Descriptor> parts, operations;  // references stay valid while more are added
  const Descriptor& tensor(const DnnTensor& tensor);
};

struct DnnPlan {
  Descriptor configuration, plan;  // that the plan copies what it is made of is not documented
  int64_t workspaceBytes = 0;
};

struct DnnRules {
  int64_t workspaceBytes = 0;
  bool strictFloat = false;  // float32 operands are not to be rounded for tensor cores
  bool dispensable = false;  // there is another way: engines that break count as none
};

// How the plans of a shape are tried against each other.
struct DnnTrials {
  size_t most = 1;                            // plans
  std::function<void(const DnnPlan&)> queue;  // queues the shape's work
  std::function<void()> own;                  // the same by our own kernels, which are tried, too; empty: there are none
  std::function<Verdict(const std::vector<std::function<void()>>&)> judge;  // tryAll
};

// The first plan, in the order of cuDNN's heuristics, of an engine that is deterministic, adds in float32 and fits the workspace; with
// `trials`, the fastest of the first few; or the plan of the engine that `choices` has for this shape. Without `choices` nothing is kept.
// nullptr: no engine does this graph, or our own kernels are faster.
std::unique_ptr<DnnPlan> makePlan(const DnnTarget& target, const DnnGraph& graph, const DnnRules& rules, const std::string& shape,
                                  Choices* choices, const DnnTrials* trials = nullptr);

struct DnnPointer {
  int64_t uid;
  const void* data;
};
// Queues a plan on the handle's stream, with the context's workspace.
void runPlan(const Context& context, const DnnTarget& target, const DnnPlan& plan, std::initializer_list<DnnPointer> pointers);

}  // namespace tlora::cuda
