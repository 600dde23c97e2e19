// Entry of the addon. Nothing here is global: an environment (the main thread or a worker thread) has its own classes.
#include <napi.h>

#include "convert.h"
#include "core/backend_library.h"
#include "core/plan.h"
#include "machine.h"
#include "program_object.h"

namespace tlora::addon {
namespace {

Napi::Value createEngine(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "createEngine: expected { threads }");
  return info.Env().GetInstanceData<Classes>()->engine.New({info[0]});
}

Napi::Value describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object o = Napi::Object::New(env);
  Napi::Array features = Napi::Array::New(env);
  for (const std::string& f : cpuFeatures()) features.Set(features.Length(), f);
  o.Set("cpu", features);
  o.Set("planFormat", kPlanFormat);
  o.Set("backendAbi", kBackendAbi);
  o.Set("compiler", "gcc " __VERSION__);
  o.Set("napi", static_cast<double>(NAPI_VERSION));
  return o;
}

Napi::Object deviceObject(Napi::Env env, int index, const DeviceFacts& facts) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("index", static_cast<double>(index));
  o.Set("name", facts.name);
  o.Set("memoryBytes", static_cast<double>(facts.memoryBytes));
  o.Set("workspaceBytes", static_cast<double>(facts.workspaceBytes));
  o.Set("capability", std::to_string(facts.major) + "." + std::to_string(facts.minor));
  return o;
}

// { found, reason, lacking, devices }: opens the backend library if it can.
Napi::Value describeCuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string reason, lacking;
  const Backend* backend = openCudaBackend(searchArgument(info[0]), reason, lacking);
  Napi::Array devices = Napi::Array::New(env);
  Reason trouble;
  const int count = backend ? backend->devices(trouble) : 0;
  for (int i = 0; i < count; i++) {
    DeviceFacts facts;
    if (backend->describe(i, facts, trouble)) devices.Set(devices.Length(), deviceObject(env, i, facts));
  }
  Napi::Object o = Napi::Object::New(env);
  o.Set("found", backend != nullptr);
  o.Set("reason", reason);
  o.Set("lacking", lacking);
  o.Set("devices", devices);
  return o;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes;
  classes->engine = Napi::Persistent(EngineObject::define(env));
  classes->program = Napi::Persistent(ProgramObject::define(env));
  env.SetInstanceData(classes);
  exports.Set("createEngine", Napi::Function::New<createEngine>(env));
  exports.Set("info", Napi::Function::New<describe>(env));
  exports.Set("cuda", Napi::Function::New<describeCuda>(env));
  return exports;
}

}  // namespace
}  // namespace tlora::addon

using tlora::addon::initialise;
NODE_API_MODULE(tlora, initialise)
