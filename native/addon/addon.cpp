// Entry of the addon. Nothing here is global: an environment (the main thread or a worker thread) has its own classes.
#include <napi.h>

#include "convert.h"
#include "core/backend.h"
#include "core/plan.h"
#include "machine.h"
#include "program_object.h"

namespace tlora::addon {
namespace {

Napi::Value createEngine(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "createEngine: expected { threads }");
  return info.Env().GetInstanceData<Classes>()->engine.New({info[0].As<Napi::Object>().Get("threads")});
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
  const std::string why = whyNoCuda(info[0].IsString() ? textArgument(info, 0, "folder") : ".");
  Napi::Object cuda = Napi::Object::New(env);
  cuda.Set("found", why.empty());
  cuda.Set("reason", why);
  o.Set("cuda", cuda);
  return o;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes;
  classes->engine = Napi::Persistent(EngineObject::define(env));
  classes->program = Napi::Persistent(ProgramObject::define(env));
  env.SetInstanceData(classes);
  exports.Set("createEngine", Napi::Function::New<createEngine>(env));
  exports.Set("info", Napi::Function::New<describe>(env));
  return exports;
}

}  // namespace
}  // namespace tlora::addon

using tlora::addon::initialise;
NODE_API_MODULE(tlora, initialise)
